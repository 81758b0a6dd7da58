/* SPDX-License-Identifier: MIT */
/* outside.h - a small process that stays outside, for what a confined machine may still want of
 * paths
 *
 * That is a stream to a program that waits beside a vsock's path, and at the end the removal of the
 * machine's own sockets, which it sees to if the machine is killed, too; and a job, if there is
 * one. It was forked before there was guest memory or KVM, has nothing open but its end of a socket
 * and what the job takes, makes few system calls (filter/calls.h), and believes nothing: which
 * paths these are it was told before the guest ran.
 */
#ifndef CONFINE_OUTSIDE_H
#define CONFINE_OUTSIDE_H

#include "config/config.h"
#include "confine/helper.h"
#include "util/diag.h"

#include <pthread.h>

#define OUTSIDE_JOB_FDS HELPER_FDS

struct outside {
	struct helper helper;
	pthread_mutex_t lock; /* one question at a time */
};

/* What it does when it is asked to, which takes rights to files. */
struct outside_job {
	int (*run)(void *ctx, struct diag *diag); /* 0, or -errno and diag */
	void (*end)(void *ctx);                   /* at its end, whether it has run or not */
	void *ctx;                                /* in its own copy of our memory */
	int fds[OUTSIDE_JOB_FDS];                 /* that stay open to it */
};

/* Fork it, if the settings name a socket of ours, or there is a job (NULL: none); `outside` has
 * none.  The main thread, before there are others.  0, or -errno and diag.
 */
int outside_start(struct outside *outside, const struct config *config,
	const struct outside_job *job, struct diag *diag);

/* All sockets are there: what lies at their paths now is the machine's.  None: nothing.  -errno and
 * diag.
 */
int outside_settle(struct outside *outside, struct diag *diag);

/* A stream socket that is connected to `path`, which is PATH_PORT of the machine's vsock; the
 * caller's, non-blocking.  Any thread.  -errno.
 */
int outside_connect(struct outside *outside, const char *path);

/* Have it do its job.  As the job's run(), or -errno and diag: it could not be asked. */
int outside_run_job(struct outside *outside, struct diag *diag);

/* Have it remove what is left, and wait for its end.  None: nothing. */
void outside_end(struct outside *outside);

#endif
