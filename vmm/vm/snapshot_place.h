/* SPDX-License-Identifier: MIT */
/* snapshot_place.h - where a snapshot goes: two files that get their names when both are whole
 *
 * Who wants one opens its place, hands the two files to the machine (snapshot_begin()), and when
 * they are written gives them their names.  So the machine itself has to do with files that are
 * open, and with no paths: it may be confined.
 *
 * One thread.
 */
#ifndef VM_SNAPSHOT_PLACE_H
#define VM_SNAPSHOT_PLACE_H

#include "util/diag.h"
#include "util/newfile.h"
#include "vm/snapshot_parts.h"

struct snapshot_place {
	char *path;                /* as it was asked for; owned */
	int state_dir, memory_dir; /* of the files; owned */
	struct newfile state, memory;
	char state_name[SNAPSHOT_MAX_NAME], memory_name[SNAPSHOT_MAX_NAME];
	bool is_beside; /* the memory is beside the state, by a name that is made of its id */
	bool is_made;   /* and the directory was not there */
};

/* Make the files, and the directory if need be.  `memory_path`: NULL: `path` is a directory, which
 * has one snapshot.  -errno and diag, and nothing was made.
 */
int snapshot_place_open(
	struct snapshot_place *place, const char *path, const char *memory_path, struct diag *diag);

/* Both are written: the names are theirs, and in a directory what was there before goes.  -errno
 * and diag: that is there still.
 */
int snapshot_place_settle(struct snapshot_place *place, struct diag *diag);

/* All that it has open. */
void snapshot_place_descriptors(const struct snapshot_place *place, int fds[4]);

/* It is another process that goes on with it, a copy of this one: here the files stay open, and
 * nothing else.
 */
void snapshot_place_leave(struct snapshot_place *place);

/* What has got no name goes.  Of one that is closed, nothing. */
void snapshot_place_close(struct snapshot_place *place);

#endif
