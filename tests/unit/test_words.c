// SPDX-License-Identifier: MIT
/* test_words.c - words on a command line that cannot end well */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/words.h"

static void test_found(void **)
{
	assert_string_equal(words_find_fatal("acpi=off"), "acpi=off");
	assert_string_equal(words_find_fatal("console=ttyS0 nolapic\tquiet"), "nolapic");
	assert_string_equal(words_find_fatal("  \n noapic\n"), "noapic");
	assert_string_equal(words_find_fatal("maxcpus=0"), "maxcpus=0");
	assert_string_equal(words_find_fatal("nosmp"), "nosmp");
	assert_string_equal(words_find_fatal("a nolapic acpi=off -- x"), "nolapic");
}

/* Parts of words are other words; behind -- is what init gets. */
static void test_not_found(void **)
{
	static const char *const fine[] = { "", " ", "acpi=offline", "xacpi=off", "acpi=of",
		"nolapic_timer", "maxcpus=01", "apic", "lapic=acpi=off", "-- acpi=off",
		"a=1 -- nolapic" };

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		assert_null(words_find_fatal(fine[i]));
	assert_string_equal(words_find_fatal("--x acpi=off"), "acpi=off");
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
