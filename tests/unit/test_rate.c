// SPDX-License-Identifier: MIT
/* test_rate.c - token buckets: what goes, what waits and how long */

#include "util/rate.h"

#include "util/bits.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#define MS UINT64_C(1000000)
#define S  (1000 * MS)

/* Any moment will do; not 0. */
#define START (123 * S)

/* A new one: so many bytes, and operations, a second. */
static struct rate rate_of(uint64_t bytes, uint64_t ops)
{
	const struct rate_limit limits[] = { rate_per_second(bytes), rate_per_second(ops) };
	struct rate rate = { 0 };

	rate_set(&rate, &limits[0], &limits[1], START);
	return rate;
}

static struct rate_limit limit_of(const char *text)
{
	struct rate_limit limit;

	assert_true(rate_parse(text, &limit));
	return limit;
}

static void test_no_limit(void **state)
{
	struct rate rate = rate_of(0, 0);

	assert_false(rate_is_limited(&rate));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(rate_wait_ns(&rate, START), 0);
		rate_take(&rate, UINT32_MAX);
	}
}

/* However it is asked for, no more than the rate and one bucket goes in a time. */
static uint64_t moved(uint64_t per_second, uint64_t size, uint64_t step_ns, uint64_t time_ns)
{
	struct rate rate = rate_of(per_second, 0);
	uint64_t sum = 0;

	assert_true(rate_is_limited(&rate));
	for (uint64_t at = 0; at < time_ns; at += step_ns)
		while (!rate_wait_ns(&rate, START + at)) {
			rate_take(&rate, size);
			sum += size;
		}
	return sum;
}

static void test_average(void **state)
{
	const uint64_t rates[] = { 1000, 12345, MIB(1), GIB(1), GIB(10) };
	const uint64_t sizes[] = { 1500, 65562 };

	for (size_t i = 0; i < ARRAY_SIZE(rates); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sizes); j++) {
			uint64_t tenths = rates[i] <= MIB(1) ? 100 : 2; /* of a second */
			uint64_t least = rates[i] / 1000 * 99 * tenths;
			/* And a bucket of one tenth, and one in debt. */
			uint64_t most = rates[i] * (tenths + 1) / 10 + sizes[j] + 1;

			assert_in_range(
				moved(rates[i], sizes[j], 1700000, tenths * S / 10), least, most);
			assert_in_range(
				moved(rates[i], sizes[j], 333000, tenths * S / 10), least, most);
		}
}

/* Looking at it every nanosecond or so must not keep a slow bucket empty. */
static void test_looking_often(void **state)
{
	assert_in_range(moved(1000, 1, 700, 50 * MS), 149, 152);
}

static void test_wait_is_enough(void **state)
{
	struct rate rate = rate_of(1000, 0);
	uint64_t wait;

	rate_take(&rate, 600); /* 101 were there */
	wait = rate_wait_ns(&rate, START);
	assert_in_range(wait, 500 * MS, 501 * MS);
	assert_true(rate_wait_ns(&rate, START + wait - 2 * MS) > 0);
	assert_int_equal(rate_wait_ns(&rate, START + wait), 0);
}

static void test_operations(void **state)
{
	struct rate rate = rate_of(0, 100);

	for (int i = 0; i < 11; i++) {
		assert_int_equal(rate_wait_ns(&rate, START), 0);
		rate_take(&rate, MIB(64));
	}
	assert_in_range(rate_wait_ns(&rate, START), 10 * MS, 10 * MS + 1);
	/* The longer of both waits. */
	rate = rate_of(1000, 100);
	for (int i = 0; i < 11; i++)
		rate_take(&rate, 100);
	assert_in_range(rate_wait_ns(&rate, START), 999 * MS, 1001 * MS);
}

/* After a month of rest it holds one bucket, and nothing has wrapped. */
static void test_long_rest(void **state)
{
	struct rate rate = rate_of(RATE_MAX, RATE_MAX);

	rate_take(&rate, UINT32_MAX);
	assert_int_equal(rate_wait_ns(&rate, START + 2592000 * S), 0);
	assert_int_equal(rate.bytes.tokens, RATE_MAX / 10 + 1);
	rate = rate_of(1, 1);
	rate_take(&rate, 100);
	assert_int_equal(rate_wait_ns(&rate, START + 2592000 * S), 0);
	assert_int_equal(rate.bytes.tokens, 1);
}

/* ---- buckets of their own size ---- */

/* Tokens that are there at a moment, by taking them one by one. */
static unsigned int n_there(struct rate *rate, uint64_t at)
{
	unsigned int n = 0;

	for (; !rate_wait_ns(rate, START + at); n++)
		rate_take(rate, 1);
	return n;
}

static void test_bucket(void **state)
{
	const struct rate_limit bytes = limit_of("100/2s"), ops = limit_of("0");
	struct rate rate = { 0 };

	rate_set(&rate, &bytes, &ops, START);
	assert_int_equal(n_there(&rate, 0), 100);
	assert_in_range(rate_wait_ns(&rate, START), 20 * MS, 20 * MS + 1);
	assert_int_equal(n_there(&rate, 500 * MS), 25);
	assert_int_equal(n_there(&rate, 3 * S), 100);
	assert_int_equal(n_there(&rate, 3000 * S), 100);
}

/* It goes first, at once or by and by, and once. */
static void test_burst(void **state)
{
	const struct rate_limit bytes = limit_of("100/2s+50"), ops = limit_of("0");
	struct rate rate = { 0 };

	rate_set(&rate, &bytes, &ops, START);
	assert_int_equal(n_there(&rate, 0), 150);
	assert_int_equal(n_there(&rate, 3000 * S), 100);
	rate = (struct rate){ 0 };
	rate_set(&rate, &bytes, &ops, START);
	rate_take(&rate, 40);
	assert_int_equal(rate_wait_ns(&rate, START + 1000 * S), 0);
	rate_take(&rate, 40); /* 30 of them the bucket's */
	assert_int_equal(n_there(&rate, 1000 * S + 200 * MS), 80);
}

/* A limit that is the same goes on where it was; one that is said again, or another, begins anew.
 */
static void test_changes(void **state)
{
	struct rate_limit bytes = limit_of("100/2s+50"), ops = limit_of("10/1s");
	struct rate rate = { 0 };

	rate_set(&rate, &bytes, &ops, START);
	rate_take(&rate, 150);
	ops = limit_of("20/1s");
	rate_set(&rate, &bytes, &ops, START);
	assert_int_equal(rate.bytes.tokens, 0);
	assert_int_equal(rate.ops.tokens, 20);
	bytes.n_said++;
	rate_set(&rate, &bytes, &ops, START);
	assert_int_equal(rate.bytes.tokens, 150);
	bytes = ops = limit_of("0");
	rate_set(&rate, &bytes, &ops, START);
	assert_false(rate_is_limited(&rate));
	assert_int_equal(rate_wait_ns(&rate, START), 0);
}

/* The largest and the slowest there are: nothing wraps, and a wait is looked at again. */
static void test_extremes(void **state)
{
	const struct rate_limit slow = limit_of("1/31536000s"), none = limit_of("0"),
				large = limit_of("1152921504606846976/1ms+1152921504606846976");
	struct rate rate = { 0 };

	rate_set(&rate, &slow, &none, START);
	rate_take(&rate, UINT32_MAX);
	assert_int_equal(rate_wait_ns(&rate, START), 3600 * S);
	assert_int_equal(rate_wait_ns(&rate, UINT64_MAX), 3600 * S);
	rate = (struct rate){ 0 };
	rate_set(&rate, &large, &none, START);
	assert_int_equal(rate.bytes.tokens, 2 * RATE_MAX);
	rate_take(&rate, UINT32_MAX);
	assert_int_equal(rate_wait_ns(&rate, UINT64_MAX), 0);
	rate.bytes.tokens = 1 - (int64_t)UINT32_MAX;
	assert_int_equal(rate_wait_ns(&rate, UINT64_MAX), 1);
	rate.bytes.at_ns = 0;
	assert_int_equal(rate_wait_ns(&rate, UINT64_MAX), 0);
	assert_int_equal(rate.bytes.tokens, RATE_MAX);
}

static void test_texts(void **state)
{
	static const struct {
		const char *text;
		uint64_t tokens, period_ns, size, burst;
	} cases[] = {
		{ "0", 0, S, 1, 0 },
		{ "25", 25, S, 3, 0 },
		{ "10M", MIB(10), S, MIB(1) + 1, 0 },
		{ "10M+1G", MIB(10), S, MIB(1) + 1, GIB(1) },
		{ "64K/100ms", KIB(64), 100 * MS, KIB(64), 0 },
		{ "10/2s+5", 10, 2 * S, 10, 5 },
		{ "1/31536000000ms", 1, 31536000 * S, 1, 0 },
	};
	static const char *const bad[] = { "", "x", "-1", "1 ", "10/", "10/5", "10/0ms", "10/0s",
		"10/5m", "10/5 ms", "10/-5ms", "10/31536000001ms", "10/31536001s",
		"10/99999999999999999999s", "1/2/3s", "/5ms", "10+", "+5", "10/5ms+", "10/5ms+x",
		"10+5/5ms", "1152921504606846977", "1+1152921504606846977",
		"0000000000000000000000000000000000000000000000000000000000000001" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rate_limit limit = limit_of(cases[i].text);

		assert_int_equal(limit.tokens, cases[i].tokens);
		assert_int_equal(limit.period_ns, cases[i].period_ns);
		assert_int_equal(limit.size, cases[i].size);
		assert_int_equal(limit.burst, cases[i].burst);
		assert_int_equal(limit.n_said, 0);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rate_limit limit;

		if (rate_parse(bad[i], &limit))
			fail_msg("'%s' is taken for a rate", bad[i]);
	}
}

/* What is printed is parsed to the same, and is no longer than it need be. */
static void test_printed(void **state)
{
	static const struct {
		const char *text, *printed;
	} cases[] = {
		{ "0", "0" },
		{ "1", "1" },
		{ "10M", "10485760" },
		{ "1K+2K", "1024+2048" },
		{ "100/1s", "100/1000ms" },
		{ "100/500ms", "100/500ms" },
		{ "100/2s+7", "100/2000ms+7" },
		{ "1/31536000000ms", "1/31536000000ms" },
		{ "1152921504606846976/31536000000ms+1152921504606846976",
			"1152921504606846976/31536000000ms+1152921504606846976" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct rate_limit limit = limit_of(cases[i].text), back;
		char text[RATE_PRINTED];

		rate_print(text, &limit);
		assert_string_equal(text, cases[i].printed);
		back = limit_of(text);
		assert_memory_equal(&back, &limit, sizeof(limit));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_limit),
		cmocka_unit_test(test_average),
		cmocka_unit_test(test_looking_often),
		cmocka_unit_test(test_wait_is_enough),
		cmocka_unit_test(test_operations),
		cmocka_unit_test(test_long_rest),
		cmocka_unit_test(test_bucket),
		cmocka_unit_test(test_burst),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_extremes),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_printed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
