/* SPDX-License-Identifier: MIT */
/* jail_place.h - a directory that is another program's root: BASE/PROGRAM/ID/root
 *
 * All but BASE may be there, with files for the program in it; but for the program itself and the
 * devices, which say that another jail is.  Nobody's links are followed below BASE, as who lived
 * there before may have put them there.  One thread; -errno and diag.
 */
#ifndef CONFINE_JAIL_PLACE_H
#define CONFINE_JAIL_PLACE_H

#include "util/diag.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#define JAIL_MAX_MADE 24

struct jail_place {
	char path[PATH_MAX];        /* of the root */
	char program[NAME_MAX + 1]; /* its name there */
	int fd;                     /* the root's */
	uint32_t uid, gid;          /* whose it is to be */
	/* What was made, in this order, below directories that stay open. */
	struct made {
		int dir_fd;
		char name[NAME_MAX + 1];
		bool is_dir;
	} made[JAIL_MAX_MADE];
	unsigned int n_made;
};

/* Make the directory of this program's and id's, with a copy of the program, and in it /dev with
 * those of the host's devices that a machine needs, and /run.  Descriptors stay open until
 * execve(2). `place` has uid and gid, and else nothing.
 */
int jail_place_make(struct jail_place *place, const char *base, const char *program, const char *id,
	struct diag *diag);

/* Keep the process's number in the file PROGRAM.pid of the root, if that is ours. */
int jail_place_note(struct jail_place *place, int pid, struct diag *diag);

/* Remove what was made. */
void jail_place_undo(struct jail_place *place);

#endif
