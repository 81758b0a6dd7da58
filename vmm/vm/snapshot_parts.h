/* SPDX-License-Identifier: MIT */
/* snapshot_parts.h - what the files that make up snapshot.h's module share */
#ifndef VM_SNAPSHOT_PARTS_H
#define VM_SNAPSHOT_PARTS_H

#include "vm/snapshot.h"

#include <string.h>

/* Behind RAM in its file. */
struct snapshot_trailer {
	char magic[16];
	uint8_t id[STATE_ID_SIZE];
	uint8_t base[STATE_ID_SIZE]; /* of the snapshot that it has changes of alone; 0: it is whole
	                              */
};

#define SNAPSHOT_TRAILER_MAGIC "pronto's memory" /* with its NUL */

static inline bool snapshot_is_whole(const struct snapshot_trailer *trailer)
{
	static const uint8_t none[STATE_ID_SIZE];

	return !memcmp(trailer->base, none, sizeof(none));
}

static inline bool snapshot_trailer_is_one(const struct snapshot_trailer *trailer)
{
	return !memcmp(trailer->magic, SNAPSHOT_TRAILER_MAGIC, sizeof(trailer->magic));
}

#define SNAPSHOT_MAX_NAME 256

/* How the memory of the snapshot with this id is called, beside its state. */
void snapshot_name_memory(char name[SNAPSHOT_MAX_NAME], const uint8_t id[STATE_ID_SIZE]);

/* The directory that a file is to be in, the caller's, and its name there.  -errno and diag. */
int snapshot_open_dir(const char *path, int *dir, char name[SNAPSHOT_MAX_NAME], struct diag *diag);

/* Open its memory, whole or not: where it is, the caller's, and what stands at its end.  NULL and
 * diag.
 */
char *snapshot_open_changes(struct snapshot *snapshot, const char *path,
	struct snapshot_trailer *trailer, struct diag *diag);

/* The state's file itself, if `path` is a directory; the caller's.  NULL: out of memory. */
char *snapshot_state_path(const char *path);

#endif
