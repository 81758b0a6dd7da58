// SPDX-License-Identifier: MIT
/* thread.c - threads of the size that ours need */

#include "util/thread.h"

#define STACK_SIZE (256 * 1024)

int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	err = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!err)
		err = pthread_create(thread, &attr, run, arg);
	pthread_attr_destroy(&attr);
	return err;
}
