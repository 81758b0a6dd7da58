/* SPDX-License-Identifier: MIT */
/* bits.h - arithmetic on sizes and addresses, and the check for our own bugs */
#ifndef UTIL_BITS_H
#define UTIL_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* align is a power of two.  ALIGN_UP wraps to 0 at the end of the type: check before where it can.
 */
#define ALIGN_DOWN(x, align) ((x) & ~((__typeof__(x))(align)-1))
#define ALIGN_UP(x, align)   ALIGN_DOWN((x) + ((__typeof__(x))(align)-1), align)

static inline bool is_power_of_2(uint64_t x)
{
	return x && !(x & (x - 1));
}

/* [start, start + size) lies within [base, base + len); nothing wraps. */
static inline bool range_within(uint64_t start, uint64_t size, uint64_t base, uint64_t len)
{
	return start >= base && start - base <= len && size <= len - (start - base);
}

/* A broken invariant of ours: always compiled in, no side effects in cond.  Never for input. */
#define BUG_ON(cond)                                                    \
	do {                                                            \
		if (__builtin_expect(!!(cond), 0))                      \
			bug_abort(__FILE__, __LINE__, __func__, #cond); \
	} while (0)

/* Say where and why, then abort().  Any thread. */
_Noreturn void bug_abort(const char *file, int line, const char *func, const char *cond);

#endif
