/* SPDX-License-Identifier: MIT */
/* thread.h - threads of the size that ours need */
#ifndef UTIL_THREAD_H
#define UTIL_THREAD_H

#include <pthread.h>

/* pthread_create() with a stack of 256 KiB: no huge page fits into it, which the kernel would fill
 * with zeros for the few KiB that are used, in each start.  Signals that others send are blocked in
 * it: those are the main thread's.  0 or an errno.
 */
int thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
