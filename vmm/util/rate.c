// SPDX-License-Identifier: MIT
/* rate.c - how fast a guest may move data */

#include "util/rate.h"

#include "util/bits.h"

#define SECOND UINT64_C(1000000000)

/* What a bucket holds: a tenth of a second, and at least one. */
static int64_t depth(const struct rate_bucket *bucket)
{
	return (int64_t)(bucket->per_second / 10 + 1);
}

static void bucket_init(struct rate_bucket *bucket, uint64_t per_second, uint64_t now_ns)
{
	BUG_ON(per_second > RATE_MAX);
	*bucket = (struct rate_bucket){ .per_second = per_second, .at_ns = now_ns };
	bucket->tokens = depth(bucket);
}

void rate_init(struct rate *rate, uint64_t bytes, uint64_t ops, uint64_t now_ns)
{
	bucket_init(&rate->bytes, bytes, now_ns);
	bucket_init(&rate->ops, ops, now_ns);
}

/* a * b / c, which is less than 2^63 where it is used; what is less than one is cut off, or counts
 * as one.
 */
static uint64_t scale(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)((__uint128_t)a * b / c);
}

static uint64_t scale_up(uint64_t a, uint64_t b, uint64_t c)
{
	return (uint64_t)(((__uint128_t)a * b + c - 1) / c);
}

/* Time counts only when it was worth a token, so that looking often loses none. */
static void fill(struct rate_bucket *bucket, uint64_t now_ns)
{
	uint64_t elapsed = now_ns - bucket->at_ns, missing, brought;

	missing = (uint64_t)(depth(bucket) - bucket->tokens);
	if (elapsed / SECOND > missing / bucket->per_second)
		brought = missing;
	else
		brought = scale(elapsed, bucket->per_second, SECOND);
	if (brought >= missing) {
		bucket->tokens = depth(bucket);
		bucket->at_ns = now_ns;
	} else {
		bucket->tokens += (int64_t)brought;
		bucket->at_ns += scale_up(brought, SECOND, bucket->per_second);
	}
}

static uint64_t bucket_wait(struct rate_bucket *bucket, uint64_t now_ns)
{
	if (!bucket->per_second)
		return 0;
	fill(bucket, now_ns);
	if (bucket->tokens > 0)
		return 0;
	return scale_up((uint64_t)(1 - bucket->tokens), SECOND, bucket->per_second);
}

uint64_t rate_wait_ns(struct rate *rate, uint64_t now_ns)
{
	uint64_t bytes = bucket_wait(&rate->bytes, now_ns);
	uint64_t ops = bucket_wait(&rate->ops, now_ns);

	return bytes > ops ? bytes : ops;
}

/* Operations are of less than 2^32 bytes each and wait for the one before, so a debt is, too. */
void rate_take(struct rate *rate, uint64_t bytes)
{
	if (rate->bytes.per_second)
		rate->bytes.tokens -= (int64_t)bytes;
	if (rate->ops.per_second)
		rate->ops.tokens--;
}
