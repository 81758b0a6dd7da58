/* SPDX-License-Identifier: MIT */
/* rate.h - how fast a guest may move data: bytes and operations a second
 *
 * A bucket of tokens each, which holds what a tenth of a second brings.  An operation goes when
 * there is something in both, and takes what it needs: a large one leaves a debt, which is waited
 * for before the next.  So none is ever too large, and the average holds.
 */
#ifndef UTIL_RATE_H
#define UTIL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_MAX UINT64_C(1000000000000) /* a second: neither product of it wraps */

struct rate_bucket {
	uint64_t per_second; /* 0: no limit */
	int64_t tokens;
	uint64_t at_ns; /* when they were so many */
};

/* Guarded by whatever guards its owner. */
struct rate {
	struct rate_bucket bytes, ops;
};

/* Full, at a moment of a clock that only goes forward; each RATE_MAX at most, 0: no limit. */
void rate_init(struct rate *rate, uint64_t bytes, uint64_t ops, uint64_t now_ns);

static inline bool rate_is_limited(const struct rate *rate)
{
	return rate->bytes.per_second || rate->ops.per_second;
}

/* How long the next operation has to wait; 0: it may go. */
uint64_t rate_wait_ns(struct rate *rate, uint64_t now_ns);

/* One operation goes. */
void rate_take(struct rate *rate, uint64_t bytes);

#endif
