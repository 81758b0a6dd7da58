// SPDX-License-Identifier: MIT
/* test_debug_console.c - a port that takes bytes */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/debug_console.h"

#include <stdbool.h>

static struct debug_console console;
static uint8_t last;
static unsigned int n_bytes;

static void put(void *ctx, uint8_t byte)
{
	assert_ptr_equal(ctx, &console);
	last = byte;
	n_bytes++;
}

static void check(bool is_heard, uint64_t reads)
{
	struct device *dev = &console.dev;

	debug_console_init(&console, is_heard, put, &console);
	n_bytes = 0;
	for (unsigned int size = 1; size <= 8; size *= 2) {
		assert_int_equal(dev->ops->read(dev, 0, size), reads);
		for (uint64_t value = 0; value < 512; value++) {
			dev->ops->write(dev, 0, size, value);
			assert_int_equal(last, value & 0xff);
		}
	}
	assert_int_equal(n_bytes, 4 * 512);
	debug_console_fini(&console);
}

/* A guest can tell by a read whether somebody listens; what it says arrives in both cases. */
static void test_heard(void **)
{
	check(true, 0xe9);
}

static void test_unheard(void **)
{
	check(false, 0xff);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_heard),
		cmocka_unit_test(test_unheard),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
