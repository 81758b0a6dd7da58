/* SPDX-License-Identifier: MIT */
/* random.h - random bytes of the host's kernel */
#ifndef UTIL_RANDOM_H
#define UTIL_RANDOM_H

#include <stddef.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <unistd.h>

/* getrandom(2) without flags, and nothing else: up to 256 bytes come whole; else -1 and errno.  The
 * function of Debian 13's C library may have the vDSO make them, for which a thread first blocks
 * signals and takes memory: calls that not each confined one has.  Any thread's.
 */
static inline ssize_t random_bytes(void *bytes, size_t n)
{
	return syscall(SYS_getrandom, bytes, n, 0);
}

#endif
