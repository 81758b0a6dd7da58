// SPDX-License-Identifier: MIT
/* test_mptable.c - the MP table as the specification lays it out */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/mptable.h"
#include "bus/platform.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define AT 0xf0810u

static struct guest_mem mem;

static int setup(void **state)
{
	return guest_mem_init(&mem, MIB(2));
}

static int teardown(void **state)
{
	guest_mem_fini(&mem);
	return 0;
}

static uint8_t sum(const uint8_t *p, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *p++);
	return total;
}

#define assert_bytes(p, ...)                                   \
	do {                                                   \
		static const uint8_t want[] = { __VA_ARGS__ }; \
		assert_memory_equal((p), want, sizeof(want));  \
		(p) += sizeof(want);                           \
	} while (0)

/* MP 1.4, 4.1 to 4.3, byte by byte. */
static void test_two_cpus(void **state)
{
	const uint8_t *p = guest_mem_at(&mem, AT, 4096);

	assert_int_equal(mptable_build(&mem, AT, 4096, 2), 16 + 124);
	assert_int_equal(sum(p, 16), 0);
	assert_int_equal(sum(p + 16, 124), 0);
	assert_bytes(p, '_', 'M', 'P', '_', 0x20, 0x08, 0x0f, 0, 1, 4);
	p++; /* the sum */
	assert_bytes(p, 0, 0, 0, 0, 0);
	assert_bytes(p, 'P', 'C', 'M', 'P', 124, 0, 4);
	p++;
	assert_bytes(p, 'P', 'R', 'O', 'N', 'T', 'O', ' ', ' ', 'P', 'R', 'O', 'N', 'T', 'O', 'V',
		'M', ' ', ' ', ' ', ' ', 0, 0, 0, 0, 0, 0, 7, 0, 0x00, 0x00, 0xe0, 0xfe, 0, 0, 0,
		0);
	assert_bytes(p, 0, 0, 0x14, 3, 0, 6, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_bytes(p, 0, 1, 0x14, 1, 0, 6, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
	assert_bytes(p, 1, 0, 'I', 'S', 'A', ' ', ' ', ' ');
	assert_bytes(p, 2, 0, 0x11, 1, 0x00, 0x00, 0xc0, 0xfe);
	assert_bytes(p, 3, 0, 5, 0, 0, 4, 0, PLATFORM_SERIAL_GSI);
	assert_bytes(p, 4, 3, 0, 0, 0, 0, 0xff, 0);
	assert_bytes(p, 4, 1, 0, 0, 0, 0, 0xff, 1);
	assert_int_equal(*p, 0);
}

static void test_size(void **state)
{
	const uint32_t fixed = 16 + 44 + 8 + 8 + 3 * 8;

	for (uint32_t n = 1; n <= 255; n++) {
		assert_int_equal(mptable_build(&mem, AT, fixed + 20 * n, n), fixed + 20 * n);
		assert_int_equal(mptable_build(&mem, AT, fixed + 20 * n - 1, n), -ENOSPC);
	}
	assert_int_equal(mptable_build(&mem, AT, MIB(1), 256), -ENOSPC);
	assert_int_equal(mptable_build(&mem, AT, MIB(1), UINT32_MAX), -ENOSPC);
	/* What is not in guest memory is nobody's. */
	assert_int_equal(mptable_build(&mem, MIB(2) - 64, 4096, 1), -ENOSPC);
	assert_int_equal(mptable_build(&mem, MIB(8), 4096, 1), -ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_two_cpus, setup, teardown),
		cmocka_unit_test_setup_teardown(test_size, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
