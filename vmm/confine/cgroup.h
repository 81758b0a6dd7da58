/* SPDX-License-Identifier: MIT */
/* cgroup.h - a cgroup for a process, in cgroup2's hierarchy
 *
 * One thread.  What fails is -errno, and diag says what, and what to do.
 */
#ifndef CONFINE_CGROUP_H
#define CONFINE_CGROUP_H

#include "util/diag.h"

#include <limits.h>
#include <stdbool.h>

struct cgroup {
	int root_fd;         /* the hierarchy's directory */
	int fd;              /* the cgroup's; -1: there is none */
	int home_fd;         /* the one that we were in before; -1: it is not known */
	char at[PATH_MAX];   /* where the hierarchy is mounted */
	char path[PATH_MAX]; /* the cgroup's, below that */
	unsigned int n_made; /* of its directories, the last ones */
};

/* Whether it leads into the hierarchy, and to nowhere else. */
bool cgroup_is_path(const char *path);

/* Find where cgroup2 is.  Failed or not, cgroup_close() closes what is open. */
int cgroup_open(struct cgroup *cgroup, struct diag *diag);
void cgroup_close(struct cgroup *cgroup);

/* Find the cgroup of this path; -ENOENT: there is none. */
int cgroup_find(struct cgroup *cgroup, const char *path, struct diag *diag);

/* Make the cgroup PARENT/NAME, with the controllers that `values` need, each FILE=VALUE, and write
 * these.  One that is there is used.
 */
int cgroup_make(struct cgroup *cgroup, const char *parent, const char *name,
	const char *const *values, unsigned int n, struct diag *diag);

/* Have this process in it. */
int cgroup_join(struct cgroup *cgroup, struct diag *diag);

/* Leave it, and remove what was made. */
void cgroup_undo(struct cgroup *cgroup);

#endif
