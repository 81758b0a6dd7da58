// SPDX-License-Identifier: MIT
/* test_size.c - sizes as people write them */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/bits.h"
#include "util/size.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} cases[] = {
		{ "0", 0 },
		{ "4096", 4096 },
		{ "512B", 512 },
		{ "1K", 1024 },
		{ "3m", MIB(3) },
		{ "2G", GIB(2) },
		{ "1T", GIB(1024) },
		{ "512MB", MIB(512) },
		{ "512mb", MIB(512) },
		{ "512MiB", MIB(512) },
		{ "512mib", MIB(512) },
		{ "1.5G", MIB(1536) },
		{ "1.50GiB", MIB(1536) },
		{ "0.25K", 256 },
		/* What is less than a byte is cut off. */
		{ "0.0009K", 0 },
		{ "1.0000001T", (UINT64_C(1) << 40) + 109951 },
		{ "18446744073709551615", UINT64_MAX },
		{ "18014398509481983K", UINT64_MAX - 1023 },
		{ "16777215.9999999T", UINT64_MAX - 109951 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t size = 1;

		assert_true(size_parse(cases[i].text, &size));
		assert_int_equal(size, cases[i].size);
	}
}

static void test_no_size(void **state)
{
	static const char *const cases[] = { "", "K", "B", "-1", "+1", " 1", "1 ", "1 M", "0x10",
		"1e3", "1KK", "1iB", "1KBi", "1Kib1", "1P", "1.5", "1.5B", ".5G", "1.G", "1,5G",
		"1..5G", "1.00000001G", "18446744073709551616", "18014398509481984K",
		"17179869184G", "16777216T" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t size;

		assert_false(size_parse(cases[i], &size));
	}
}

static void test_print(void **state)
{
	static const struct {
		uint64_t size;
		const char *text;
	} cases[] = {
		{ 0, "0" },
		{ 1023, "1023" },
		{ 4096, "4K" },
		{ MIB(32), "32M" },
		{ MIB(1536), "1536M" },
		{ GIB(1024), "1T" },
		{ GIB(1024) << 10, "1024T" },
		{ UINT64_MAX, "18446744073709551615" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char text[SIZE_TEXT];

		size_print(text, cases[i].size);
		assert_string_equal(text, cases[i].text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_no_size),
		cmocka_unit_test(test_print),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
