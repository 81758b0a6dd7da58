/* SPDX-License-Identifier: MIT */
/* rate.h - how fast a guest may move data: bytes and operations
 *
 * A bucket of tokens each, which is filled as time goes by.  An operation goes when there is
 * something in both, and takes what it needs: a large one leaves a debt, which is waited for before
 * the next.  So none is ever too large, and the average holds.  A burst lies on top of a full
 * bucket at first; nothing comes until that is gone.
 */
#ifndef UTIL_RATE_H
#define UTIL_RATE_H

#include <stdbool.h>
#include <stdint.h>

#define RATE_MAX        (UINT64_C(1) << 60)   /* of each kind of tokens: nothing wraps */
#define RATE_MAX_PERIOD UINT64_C(31536000000) /* ms: a year */

/* What a bucket is. */
struct rate_limit {
	uint64_t tokens; /* that come in a period; 0: there is no limit */
	uint64_t period_ns;
	uint64_t size; /* that it holds */
	uint64_t burst;
	uint64_t n_said; /* how often it has been: what is said again begins anew */
};

struct rate_bucket {
	struct rate_limit limit;
	int64_t tokens;
	uint64_t at_ns; /* when they were so many */
};

/* Guarded by whatever guards its owner; zeroed, it limits nothing. */
struct rate {
	struct rate_bucket bytes, ops;
};

/* So many a second, RATE_MAX at most; a tenth of a second's worth, and one, may go at once. */
struct rate_limit rate_per_second(uint64_t n);

/* The same of "N"; of "N/TIME", with ms or s as in "64K/100ms", a bucket that holds N and is full
 * again after the time, a year at most; and either with "+N" for a burst.  N is as size.h has it.
 * False if it is none of these, or too much.
 */
bool rate_parse(const char *text, struct rate_limit *limit);

/* The text that rate_parse() makes this of. */
#define RATE_PRINTED 80
void rate_print(char text[RATE_PRINTED], const struct rate_limit *limit);

/* Have these limits, by a clock that only goes forward.  Who has had the same goes on, and another
 * begins full.
 */
void rate_set(struct rate *rate, const struct rate_limit *bytes, const struct rate_limit *ops,
	uint64_t now_ns);

static inline bool rate_is_limited(const struct rate *rate)
{
	return rate->bytes.limit.tokens || rate->ops.limit.tokens;
}

/* How long the next operation has to wait, or an hour, if that is less; 0: it may go. */
uint64_t rate_wait_ns(struct rate *rate, uint64_t now_ns);

/* One operation goes, of less than 2^32 bytes. */
void rate_take(struct rate *rate, uint64_t bytes);

#endif
