/* SPDX-License-Identifier: MIT */
/* crew.h - threads that work, and park when they are asked to
 *
 * A parked member has nothing half done and touches nothing, so that whoever gathered the crew may
 * change what it works on.  The lock orders the two: what was written before an order is seen by
 * the members that follow it, what a member wrote is seen after crew_gather().
 */
#ifndef UTIL_CREW_H
#define UTIL_CREW_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

enum crew_order { CREW_PARK, CREW_WORK, CREW_LEAVE };

struct crew {
	pthread_mutex_t lock;
	pthread_cond_t ordered;  /* for the members */
	pthread_cond_t gathered; /* for their owner */
	_Atomic enum crew_order order;
	unsigned int n_members, n_parked;
};

/* No members yet; the order is to park. */
void crew_init(struct crew *crew);
/* All members have left. */
void crew_fini(struct crew *crew);

/* Any thread.  A member that is at work has to be kicked out of it, if it does not look. */
void crew_order(struct crew *crew, enum crew_order order);

/* The owner: one member more, in a thread of its own that thread_create() makes.  `run` is to call
 * crew_park() again and again until that says to leave.  0 or an errno.
 */
int crew_start(struct crew *crew, pthread_t *thread, void *(*run)(void *arg), void *arg);

/* The owner: wait until every member has parked.  The order is to park, and stays so. */
void crew_gather(struct crew *crew);

/* A member: parked until there is an order.  True: work; false: leave, for good. */
bool crew_park(struct crew *crew);

/* A member at work: come back to crew_park(). */
static inline bool crew_is_called(const struct crew *crew)
{
	return atomic_load(&crew->order) != CREW_WORK;
}

#endif
