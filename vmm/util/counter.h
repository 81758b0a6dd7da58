/* SPDX-License-Identifier: MIT */
/* counter.h - figures that grow: one thread at a time adds to one, any thread may read it */
#ifndef UTIL_COUNTER_H
#define UTIL_COUNTER_H

#include <stddef.h>
#include <stdint.h>

/* Where one is in a struct, and its name; a table of them ends with a NULL. */
struct counter {
	const char *name;
	size_t at; /* of a uint64_t */
};

static inline void counter_add(uint64_t *counter, uint64_t n)
{
	__atomic_store_n(counter, *counter + n, __ATOMIC_RELAXED);
}

static inline uint64_t counter_read(const uint64_t *counter)
{
	return __atomic_load_n(counter, __ATOMIC_RELAXED);
}

#endif
