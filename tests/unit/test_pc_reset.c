// SPDX-License-Identifier: MIT
/* test_pc_reset.c - the two ports by which a PC is reset */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/pc_reset.h"

static struct pc_reset pc;
static unsigned int n_resets;

static void count(void *ctx)
{
	assert_ptr_equal(ctx, &pc);
	n_resets++;
}

static int set_up(void **)
{
	pc_reset_init(&pc, count, &pc);
	n_resets = 0;
	return 0;
}

static int tear_down(void **)
{
	pc_reset_fini(&pc);
	return 0;
}

static uint64_t get(struct device *dev, unsigned int size)
{
	return dev->ops->read(dev, 0, size);
}

static void set(struct device *dev, uint64_t value, unsigned int size)
{
	dev->ops->write(dev, 0, size, value);
}

static void test_keyboard(void **)
{
	for (unsigned int value = 0; value < 256; value++) {
		n_resets = 0;
		set(&pc.keyboard, value, 1);
		assert_int_equal(n_resets, value == 0xfe);
		assert_int_equal(get(&pc.keyboard, 1), 0);
	}
}

/* What sets bit 2 resets; what else is written is kept, as far as it is a register. */
static void test_control(void **)
{
	for (unsigned int value = 0; value < 256; value++) {
		set(&pc.control, 0, 1);
		n_resets = 0;
		set(&pc.control, value, 1);
		assert_int_equal(n_resets, value >> 2 & 1);
		assert_int_equal(get(&pc.control, 1), value & 0x0e);
		set(&pc.control, value, 1);
		assert_int_equal(n_resets, value >> 2 & 1);
	}
}

/* The bus lets a wide access through to nobody; a device that is given one is not hurt. */
static void test_wide(void **)
{
	for (unsigned int size = 1; size <= 8; size *= 2) {
		set(&pc.keyboard, UINT64_MAX << 8, size);
		set(&pc.control, UINT64_MAX << 8, size);
		assert_int_equal(get(&pc.keyboard, size), 0);
		assert_int_equal(get(&pc.control, size), 0);
	}
	assert_int_equal(n_resets, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_keyboard),
		TEST(test_control),
		TEST(test_wide),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
