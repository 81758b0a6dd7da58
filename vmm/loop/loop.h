/* SPDX-License-Identifier: MIT */
/* loop.h - one thread's event loop over epoll
 *
 * Sources are embedded in their owners and stay put while added.  A source's callback runs on the
 * loop's thread with the source's lock held, if it names one: that is how a device's file side and
 * its vCPU side (see bus/bus.h) exclude each other without the device taking a lock.
 */
#ifndef LOOP_LOOP_H
#define LOOP_LOOP_H

#include "util/rate.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/epoll.h>

struct loop {
	int epoll_fd;
	/* The loop's thread only. */
	bool stopped;
	int quiet_ms; /* -1: none is waited for */
	void (*quiet)(void *ctx);
	void *ctx;
};

struct loop_source {
	int fd;                                    /* not owned */
	void (*ready)(void *ctx, uint32_t events); /* EPOLL* bits */
	void *ctx;
	pthread_mutex_t *lock; /* or NULL */
};

/* -errno of epoll_create1(2). */
int loop_init(struct loop *loop);
void loop_fini(struct loop *loop);

/* Watch source->fd for `events` (EPOLLIN, EPOLLOUT, EPOLLET).  Any thread.  -EPERM: the file is
 * always ready (a regular file) and epoll does not take it.
 */
int loop_add(struct loop *loop, struct loop_source *source, uint32_t events);

/* Watch it for other events; one that is there already is told at once.  Any thread. */
void loop_change(struct loop *loop, struct loop_source *source, uint32_t events);

/* Only from the loop's thread; the callback will not run again. */
void loop_remove(struct loop *loop, struct loop_source *source);

/* Call `quiet`, once, when nothing has happened for `ms`.  From the loop's thread. */
void loop_when_quiet(struct loop *loop, int ms, void (*quiet)(void *ctx), void *ctx);

/* Dispatch until a callback calls loop_stop(), also again; what nobody was told of meanwhile is
 * told then.  0 or -errno.
 */
int loop_run(struct loop *loop);
void loop_stop(struct loop *loop);

/* Helpers for the two kinds of descriptor that nearly every source is. */

/* New timerfd that fires first after first_ms and then every period_ms (0: once); (0, 0): only when
 * it is set.  Owned; -errno.
 */
int loop_timer_create(uint64_t first_ms, uint64_t period_ms);
/* The same for `source`, which is added: its fd is the timer, owned by the source's owner; -1 on
 * failure, with -errno.
 */
int loop_add_timer(
	struct loop *loop, struct loop_source *source, uint64_t first_ms, uint64_t period_ms);
/* Set a timerfd anew; (0, 0) stops it.  Any thread. */
void loop_timer_set(int fd, uint64_t first_ms, uint64_t period_ms);
/* Whether one operation more may go at this rate; if not, the timerfd is set for when it may. */
bool loop_may_go(struct rate *rate, int timer_fd);
/* Consume an eventfd's or timerfd's counter; 0 if there was none. */
uint64_t loop_counter_read(int fd);
/* Add 1 to an eventfd.  Any thread, async-signal-safe. */
void loop_counter_add(int fd);

#endif
