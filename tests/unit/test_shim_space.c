// SPDX-License-Identifier: MIT
/* test_shim_space.c - where pvh-shim finds room, and how it copies */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "shim/shim.h"

#include <stdlib.h>
#include <string.h>

#define MIB(x) ((uint64_t)(x) << 20)

/* Against a search by brute force, in a world so small that what can touch does. */
static void test_find(void **state)
{
	struct pvh_info info = { .n_regions = 3,
		.regions = { { 0, MIB(1) + 0x30, PVH_MEMMAP_RAM, 0 },
			{ MIB(1) + 0x40, 0x20, PVH_MEMMAP_RESERVED, 0 },
			{ MIB(1) + 0x60, 0xa0, PVH_MEMMAP_RAM, 0 } } };
	unsigned int n_found = 0, n_missed = 0;

	srandom(1);
	for (unsigned int turn = 0; turn < 20000; turn++) {
		struct pvh_range busy[2];
		struct shim_want want = { 1 + (uint64_t)random() % 0x50,
			UINT64_C(1) << (random() % 7), (uint64_t)random() % 0x120, 0 };
		uint64_t expected = 0;

		want.from += MIB(1) - 0x10;
		want.max = want.from + (uint64_t)random() % 0x140;
		for (unsigned int i = 0; i < 2; i++)
			busy[i] = (struct pvh_range){ MIB(1) + (uint64_t)random() % 0x100,
				(uint64_t)random() % 0x30 };
		for (uint64_t at = MIB(1); at < MIB(1) + 0x100 && !expected; at++) {
			struct pvh_range place = { at, want.size };
			uint64_t end = at + want.size;

			if (at % want.align || at < want.from || end - 1 > want.max ||
				shim_overlap(place, busy[0]) || shim_overlap(place, busy[1]))
				continue;
			if (end <= MIB(1) + 0x30 || (at >= MIB(1) + 0x60 && end <= MIB(1) + 0x100))
				expected = at;
		}
		assert_int_equal(shim_find(&info, busy, 2, &want), expected);
		n_found += expected != 0;
		n_missed += !expected;
	}
	assert_true(n_found > 1000 && n_missed > 1000);
}

static void test_copy(void **state)
{
	enum { N = 200 };
	uint8_t got[3 * N], expected[3 * N];

	for (unsigned int from = 0; from < N; from += 7)
		for (unsigned int to = 0; to < N; to += 3)
			for (unsigned int size = 0; size < N; size += 11) {
				for (unsigned int i = 0; i < 3 * N; i++)
					got[i] = expected[i] = (uint8_t)(i * 7 + 3);
				memmove(expected + to, expected + from, size);
				shim_copy(got + to, got + from, size);
				assert_memory_equal(got, expected, 3 * N);
			}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
