// SPDX-License-Identifier: MIT
/* test_debug_exit.c - a port by which a guest ends */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/debug_exit.h"

static struct debug_exit debug_exit;
static unsigned int n_ends;
static uint8_t status;

static void end(void *ctx, uint8_t value)
{
	assert_ptr_equal(ctx, &debug_exit);
	status = value;
	n_ends++;
}

/* At any of its ports, in any width. */
static void test_status(void **)
{
	struct device *dev = &debug_exit.dev;

	debug_exit_init(&debug_exit, false, end, &debug_exit);
	n_ends = 0;
	for (uint64_t offset = 0; offset < DEBUG_EXIT_SIZE; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			for (uint64_t value = 0; value < 512; value++) {
				dev->ops->write(dev, offset, size, value);
				assert_int_equal(status, (value * 2 + 1) & 0xff);
				assert_int_equal(dev->ops->read(dev, offset, size), 0);
			}
	assert_int_equal(n_ends, 4 * 4 * 512);
	debug_exit_fini(&debug_exit);
}

/* As a program of ours writes it. */
static void test_plain(void **)
{
	debug_exit_init(&debug_exit, true, end, &debug_exit);
	for (uint64_t value = 0; value < 256; value++) {
		debug_exit.dev.ops->write(&debug_exit.dev, 0, 1, value);
		assert_int_equal(status, value);
	}
	debug_exit_fini(&debug_exit);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status),
		cmocka_unit_test(test_plain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
