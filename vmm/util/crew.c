// SPDX-License-Identifier: MIT
/* crew.c - threads that work, and park when they are asked to */

#include "util/crew.h"

#include "util/thread.h"

void crew_init(struct crew *crew)
{
	*crew = (struct crew){ .order = CREW_PARK };
	pthread_mutex_init(&crew->lock, NULL);
	pthread_cond_init(&crew->ordered, NULL);
	pthread_cond_init(&crew->gathered, NULL);
}

void crew_fini(struct crew *crew)
{
	pthread_cond_destroy(&crew->gathered);
	pthread_cond_destroy(&crew->ordered);
	pthread_mutex_destroy(&crew->lock);
}

void crew_order(struct crew *crew, enum crew_order order)
{
	pthread_mutex_lock(&crew->lock);
	atomic_store(&crew->order, order);
	pthread_mutex_unlock(&crew->lock);
	/* Whoever is woken finds the lock free. */
	if (order != CREW_PARK)
		pthread_cond_broadcast(&crew->ordered);
}

int crew_start(struct crew *crew, pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	int err;

	pthread_mutex_lock(&crew->lock);
	err = thread_create(thread, run, arg);
	if (!err)
		crew->n_members++;
	pthread_mutex_unlock(&crew->lock);
	return err;
}

void crew_gather(struct crew *crew)
{
	pthread_mutex_lock(&crew->lock);
	while (crew->n_parked < crew->n_members)
		pthread_cond_wait(&crew->gathered, &crew->lock);
	pthread_mutex_unlock(&crew->lock);
}

bool crew_park(struct crew *crew)
{
	enum crew_order order;

	pthread_mutex_lock(&crew->lock);
	if (++crew->n_parked == crew->n_members)
		pthread_cond_signal(&crew->gathered);
	while ((order = atomic_load(&crew->order)) == CREW_PARK)
		pthread_cond_wait(&crew->ordered, &crew->lock);
	crew->n_parked--;
	pthread_mutex_unlock(&crew->lock);
	return order == CREW_WORK;
}
