/* SPDX-License-Identifier: MIT */
/* snapshot_parts.h - what the files that make up snapshot.h's module share */
#ifndef VM_SNAPSHOT_PARTS_H
#define VM_SNAPSHOT_PARTS_H

#include "vm/snapshot.h"

/* Behind RAM in its file. */
struct snapshot_trailer {
	char magic[16];
	uint8_t id[STATE_ID_SIZE];
};

#define SNAPSHOT_TRAILER_MAGIC "pronto's memory" /* with its NUL */

/* The state's file itself, if `path` is a directory; the caller's.  NULL: out of memory. */
char *snapshot_state_path(const char *path);

#endif
