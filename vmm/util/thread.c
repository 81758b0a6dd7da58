// SPDX-License-Identifier: MIT
/* thread.c - threads of the size that ours need */

#include "util/thread.h"

#include "util/bits.h"

#include <signal.h>

#define STACK_SIZE (256 * 1024)

/* All but those that a thread raises itself: to block one of these would end the process without
 * its handler, which puts the terminal right.
 */
static void others_signals(sigset_t *set)
{
	static const int own[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP };

	sigfillset(set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(set, own[i]);
}

int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
	pthread_attr_t attr;
	sigset_t blocked, ours;
	int err = pthread_attr_init(&attr);

	if (err)
		return err;
	others_signals(&blocked);
	err = pthread_attr_setstacksize(&attr, STACK_SIZE);
	if (!err) {
		/* By way of ours: clang's sanitizers forget what an attribute says of it. */
		pthread_sigmask(SIG_SETMASK, &blocked, &ours);
		err = pthread_create(thread, &attr, run, arg);
		pthread_sigmask(SIG_SETMASK, &ours, NULL);
	}
	pthread_attr_destroy(&attr);
	return err;
}
