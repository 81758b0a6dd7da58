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

static void test_no_limit(void **state)
{
	struct rate rate;

	rate_init(&rate, 0, 0, START);
	assert_false(rate_is_limited(&rate));
	for (int i = 0; i < 1000; i++) {
		assert_int_equal(rate_wait_ns(&rate, START), 0);
		rate_take(&rate, UINT32_MAX);
	}
}

/* However it is asked for, no more than the rate and one bucket goes in a time. */
static uint64_t moved(uint64_t per_second, uint64_t size, uint64_t step_ns, uint64_t time_ns)
{
	struct rate rate;
	uint64_t sum = 0;

	rate_init(&rate, per_second, 0, START);
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
	struct rate rate;
	uint64_t wait;

	rate_init(&rate, 1000, 0, START);
	rate_take(&rate, 600); /* 101 were there */
	wait = rate_wait_ns(&rate, START);
	assert_in_range(wait, 500 * MS, 501 * MS);
	assert_true(rate_wait_ns(&rate, START + wait - 2 * MS) > 0);
	assert_int_equal(rate_wait_ns(&rate, START + wait), 0);
}

static void test_operations(void **state)
{
	struct rate rate;

	rate_init(&rate, 0, 100, START);
	for (int i = 0; i < 11; i++) {
		assert_int_equal(rate_wait_ns(&rate, START), 0);
		rate_take(&rate, MIB(64));
	}
	assert_in_range(rate_wait_ns(&rate, START), 10 * MS, 10 * MS + 1);
	/* The longer of both waits. */
	rate_init(&rate, 1000, 100, START);
	for (int i = 0; i < 11; i++)
		rate_take(&rate, 100);
	assert_in_range(rate_wait_ns(&rate, START), 999 * MS, 1001 * MS);
}

/* After a month of rest it holds one bucket, and nothing has wrapped. */
static void test_long_rest(void **state)
{
	struct rate rate;

	rate_init(&rate, RATE_MAX, RATE_MAX, START);
	rate_take(&rate, UINT32_MAX);
	assert_int_equal(rate_wait_ns(&rate, START + 2592000 * S), 0);
	assert_int_equal(rate.bytes.tokens, RATE_MAX / 10 + 1);
	rate_init(&rate, 1, 1, START);
	rate_take(&rate, 100);
	assert_int_equal(rate_wait_ns(&rate, START + 2592000 * S), 0);
	assert_int_equal(rate.bytes.tokens, 1);
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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
