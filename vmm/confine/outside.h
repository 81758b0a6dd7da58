/* SPDX-License-Identifier: MIT */
/* outside.h - a small process that stays outside, for what a confined machine may still want of
 * paths
 *
 * That is a stream to a program that waits beside a vsock's path, and at the end the removal of the
 * machine's own sockets, which it sees to if the machine is killed, too.  It was forked before
 * there was guest memory or KVM, has nothing open but its end of a socket, makes some ten system
 * calls (calls.h), and believes nothing: which paths these are it was told before the guest ran.
 */
#ifndef CONFINE_OUTSIDE_H
#define CONFINE_OUTSIDE_H

#include "config/config.h"
#include "util/diag.h"

#include <sys/types.h>

struct outside {
	int fd; /* -1: there is none */
	pid_t pid;
};

/* Fork it, if the settings name a socket of ours; `outside` has none.  The main thread, before
 * there are others.  0, or -errno and diag.
 */
int outside_start(struct outside *outside, const struct config *config, struct diag *diag);

/* All sockets are there: what lies at their paths now is the machine's.  None: nothing.  -errno and
 * diag.
 */
int outside_settle(const struct outside *outside, struct diag *diag);

/* A stream socket that is connected to `path`, which is PATH_PORT of the machine's vsock; the
 * caller's, non-blocking.  One thread.  -errno.
 */
int outside_connect(const struct outside *outside, const char *path);

/* Have it remove what is left, and wait for its end.  None: nothing. */
void outside_end(struct outside *outside);

#endif
