/* SPDX-License-Identifier: MIT */
/* child.h - a program that works for the VM, and ends with it
 *
 * It gets the descriptors it is meant to have and no others, /dev/null for input and output, and a
 * session of its own, so that the keys and signals of the operator's terminal are not for it.  If
 * we are killed the kernel ends it, unless it has taken another user's rights: so it should end by
 * itself when its descriptors are closed at our side.
 */
#ifndef HOST_CHILD_H
#define HOST_CHILD_H

#include "util/diag.h"

#include <sys/types.h>

/* The descriptors that it is given have these numbers there, in their order. */
#define CHILD_FIRST_FD 3
#define CHILD_MAX_FDS  4

struct child {
	const char *name; /* not owned */
	pid_t pid;
	int pidfd;    /* readable when it has ended */
	int words_fd; /* what it says on standard error; it is not waited for who does not read it
	               */
};

/* Run argv[0], found by PATH.  The main thread, before there are others.  0; -ENOENT: there is no
 * such program; else -errno; with diag.
 */
int child_start(struct child *child, const char *const *argv, const int *fds, unsigned int n_fds,
	struct diag *diag);

/* The same, with something done in the child before it becomes the program: `prepare` runs in our
 * memory, as one of two threads would, and so calls the kernel and nothing else.  -errno: it does
 * not become it.
 */
int child_start_in(struct child *child, const char *const *argv, const int *fds, unsigned int n_fds,
	int (*prepare)(const void *ctx), const void *ctx, struct diag *diag);

/* It has ended: how, and its last words. */
void child_describe_end(struct child *child, struct diag *diag);

/* End it, if it has not ended, and wait for that: by SIGTERM, and after a second by SIGKILL. */
void child_end(struct child *child);

#endif
