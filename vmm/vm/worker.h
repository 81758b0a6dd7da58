/* SPDX-License-Identifier: MIT */
/* worker.h - a thread beside those that serve the guest, for what takes long
 *
 * It does one thing at a time, and then an eventfd is readable.  A confined machine has it from the
 * start, or never: it makes no threads later.
 */
#ifndef VM_WORKER_H
#define VM_WORKER_H

#include "util/diag.h"

#include <pthread.h>
#include <stdbool.h>

struct worker {
	pthread_t thread;
	bool is_there;
	int done; /* eventfd, non-blocking: readable when it has done what it was given */
	void (*begun)(void *ctx);
	void *ctx;

	pthread_mutex_t lock; /* guards: */
	pthread_cond_t changed;
	void (*work)(void *arg); /* NULL: nothing */
	void *arg;
	bool leaves;
};

/* All of these on the control thread. */

/* None yet. */
void worker_init(struct worker *worker);

/* Start it, unless it is there; `begun` is what it does first, unless NULL.  -errno and diag. */
int worker_start(struct worker *worker, void (*begun)(void *ctx), void *ctx, struct diag *diag);

/* Whether it is at something. */
bool worker_is_busy(struct worker *worker);

/* Have it do this; it is there, and has nothing to do. */
void worker_do(struct worker *worker, void (*work)(void *arg), void *arg);

/* Wait until it has done what it was given; `done` is not readable any more. */
void worker_wait(struct worker *worker);

/* It has nothing to do, and goes.  None: nothing. */
void worker_stop(struct worker *worker);

#endif
