// SPDX-License-Identifier: MIT
/* rate.c - how fast a guest may move data */

#include "util/rate.h"

#include "util/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MS        UINT64_C(1000000)
#define SECOND    (1000 * MS)
#define MAX_WAIT  (3600 * SECOND)
#define MAX_TEXT  64
#define MAX_DIGIT 11 /* of a time; the longest is RATE_MAX_PERIOD */

/* ---- limits ---- */

struct rate_limit rate_per_second(uint64_t n)
{
	return (struct rate_limit){ .tokens = n, .period_ns = SECOND, .size = n / 10 + 1 };
}

/* "100ms", "2s". */
static bool parse_period(const char *text, uint64_t *ns)
{
	size_t n = strspn(text, "0123456789");
	uint64_t unit = 0, count = strtoull(text, NULL, 10);

	if (!strcmp(text + n, "ms"))
		unit = MS;
	else if (!strcmp(text + n, "s"))
		unit = SECOND;
	if (!n || n > MAX_DIGIT || !unit || !count || count > RATE_MAX_PERIOD * MS / unit)
		return false;
	*ns = count * unit;
	return true;
}

bool rate_parse(const char *text, struct rate_limit *limit)
{
	char copy[MAX_TEXT], *burst = copy, *period, *tokens;
	size_t size = strlen(text) + 1;
	uint64_t n, more = 0;

	if (size > sizeof(copy))
		return false;
	memcpy(copy, text, size);
	period = strsep(&burst, "+");
	tokens = strsep(&period, "/");
	if (!size_parse(tokens, &n) || n > RATE_MAX)
		return false;
	if (burst && (!size_parse(burst, &more) || more > RATE_MAX))
		return false;
	*limit = rate_per_second(n);
	limit->burst = more;
	if (!period)
		return true;
	limit->size = n;
	return parse_period(period, &limit->period_ns);
}

void rate_print(char text[RATE_PRINTED], const struct rate_limit *limit)
{
	struct rate_limit plain = rate_per_second(limit->tokens);
	int n = snprintf(text, RATE_PRINTED, "%" PRIu64, limit->tokens);

	if (limit->size != plain.size || limit->period_ns != plain.period_ns)
		n += snprintf(text + n, RATE_PRINTED - (size_t)n, "/%" PRIu64 "ms",
			limit->period_ns / MS);
	if (limit->burst)
		snprintf(text + n, RATE_PRINTED - (size_t)n, "+%" PRIu64, limit->burst);
}

static void bucket_set(struct rate_bucket *bucket, const struct rate_limit *limit, uint64_t now_ns)
{
	if (!memcmp(&bucket->limit, limit, sizeof(*limit)))
		return;
	bucket->limit = *limit;
	bucket->tokens = (int64_t)(limit->size + limit->burst);
	bucket->at_ns = now_ns;
}

void rate_set(struct rate *rate, const struct rate_limit *bytes, const struct rate_limit *ops,
	uint64_t now_ns)
{
	bucket_set(&rate->bytes, bytes, now_ns);
	bucket_set(&rate->ops, ops, now_ns);
}

/* ---- what goes ---- */

/* a * b / c: what is less than one counts as one. */
static __uint128_t scale_up(uint64_t a, uint64_t b, uint64_t c)
{
	return ((__uint128_t)a * b + c - 1) / c;
}

/* Time counts only when it was worth a token, so that looking often loses none. */
static void fill(struct rate_bucket *bucket, uint64_t now_ns)
{
	const struct rate_limit *limit = &bucket->limit;
	int64_t missing = (int64_t)limit->size - bucket->tokens;
	__uint128_t brought;

	if (missing <= 0) { /* it is full, or still has of its burst */
		bucket->at_ns = now_ns;
		return;
	}
	brought = (__uint128_t)(now_ns - bucket->at_ns) * limit->tokens / limit->period_ns;
	if (brought >= (uint64_t)missing) {
		bucket->tokens = (int64_t)limit->size;
		bucket->at_ns = now_ns;
	} else {
		bucket->tokens += (int64_t)brought;
		bucket->at_ns += (uint64_t)scale_up(
			(uint64_t)brought, limit->period_ns, limit->tokens);
	}
}

static uint64_t bucket_wait(struct rate_bucket *bucket, uint64_t now_ns)
{
	__uint128_t wait;

	if (!bucket->limit.tokens)
		return 0;
	fill(bucket, now_ns);
	if (bucket->tokens > 0)
		return 0;
	wait = scale_up(
		(uint64_t)(1 - bucket->tokens), bucket->limit.period_ns, bucket->limit.tokens);
	return wait < MAX_WAIT ? (uint64_t)wait : MAX_WAIT;
}

uint64_t rate_wait_ns(struct rate *rate, uint64_t now_ns)
{
	uint64_t bytes = bucket_wait(&rate->bytes, now_ns);
	uint64_t ops = bucket_wait(&rate->ops, now_ns);

	return bytes > ops ? bytes : ops;
}

/* An operation waits for the one before, so a debt is less than 2^32. */
void rate_take(struct rate *rate, uint64_t bytes)
{
	if (rate->bytes.limit.tokens)
		rate->bytes.tokens -= (int64_t)bytes;
	if (rate->ops.limit.tokens)
		rate->ops.tokens--;
}
