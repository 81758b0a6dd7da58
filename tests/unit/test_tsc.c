// SPDX-License-Identifier: MIT
/* test_tsc.c - whether KVM knows how fast the host's TSC is */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/tsc.h"
#include "util/bits.h"

#include <math.h>

#define GHZ 1000000 /* in kHz */

static const struct tsc_rate exact = { 2 * GHZ, 0 }, rough = { 2 * GHZ, 100 },
			     nothing = { 0, INFINITY };

static void test_judges_by_250_ppm(void **state)
{
	static const struct {
		const struct tsc_rate *host;
		int vcpu_khz;
		enum tsc_verdict verdict;
	} cases[] = {
		{ &exact, 2 * GHZ, TSC_RIGHT },
		{ &exact, 2 * GHZ + 500, TSC_RIGHT },
		{ &exact, 2 * GHZ - 500, TSC_RIGHT },
		{ &exact, 2 * GHZ + 501, TSC_WRONG },
		{ &exact, 2 * GHZ - 501, TSC_WRONG },
		{ &exact, 1, TSC_WRONG },
		{ &exact, INT32_MAX, TSC_WRONG },
		/* 0: KVM has no rate, whatever the host's is. */
		{ &exact, 0, TSC_WRONG },
		{ &nothing, 0, TSC_WRONG },
		/* Between what is surely right and what is surely wrong. */
		{ &rough, 2 * GHZ + 300, TSC_RIGHT },
		{ &rough, 2 * GHZ + 302, TSC_UNKNOWN },
		{ &rough, 2 * GHZ - 500, TSC_UNKNOWN },
		{ &rough, 2 * GHZ - 698, TSC_UNKNOWN },
		{ &rough, 2 * GHZ - 702, TSC_WRONG },
		{ &nothing, 2 * GHZ, TSC_UNKNOWN },
		{ &nothing, 1, TSC_UNKNOWN },
		/* Not told. */
		{ &exact, -5, TSC_UNKNOWN },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(tsc_judge(cases[i].vcpu_khz, cases[i].host), cases[i].verdict);
}

static void test_rate_is_ticks_by_time(void **state)
{
	/* 2.6 GHz for a millisecond, each reading within 50 ticks. */
	const struct tsc_sample first = { 7000000, 50, 123 },
				second = { 7000000 + 2600000, 50, 123 + 1000000 };
	struct tsc_rate rate = tsc_rate_between(&first, &second);

	assert_true(fabs(rate.khz - 2600000) < 1e-6);
	/* 100 of 2,600,000 ticks, and one of a million nanoseconds. */
	assert_true(fabs(rate.error_ppm - (100e6 / 2600000 + 1)) < 1e-6);
}

static void test_no_time_tells_no_rate(void **state)
{
	const struct tsc_sample first = { 100, 10, 50 }, same = { 200, 10, 50 },
				still = { 100, 10, 60 }, before = { 90, 10, 40 };

	assert_true(isinf(tsc_rate_between(&first, &first).error_ppm));
	assert_true(isinf(tsc_rate_between(&first, &same).error_ppm));
	assert_true(isinf(tsc_rate_between(&first, &still).error_ppm));
	assert_true(isinf(tsc_rate_between(&first, &before).error_ppm));
}

static void test_samples_bracket_the_clock(void **state)
{
	struct tsc_sample first, second;
	struct tsc_rate rate;

	tsc_sample(&first);
	do
		tsc_sample(&second);
	while (second.ns - first.ns < 1000000);
	assert_true(second.ticks > first.ticks + first.width);
	rate = tsc_rate_between(&first, &second);
	/* Any processor that has one. */
	assert_true(rate.khz > 100000 && rate.khz < 10 * GHZ);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judges_by_250_ppm),
		cmocka_unit_test(test_rate_is_ticks_by_time),
		cmocka_unit_test(test_no_time_tells_no_rate),
		cmocka_unit_test(test_samples_bracket_the_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
