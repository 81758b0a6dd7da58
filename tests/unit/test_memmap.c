// SPDX-License-Identifier: MIT
/* test_memmap.c - the memory map that the guest is told */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/layout.h"
#include "boot/memmap.h"
#include "bus/platform.h"

#include <string.h>

static const uint64_t sizes[] = {
	KIB(4),
	KIB(640),
	KIB(644),
	KIB(900),
	MIB(1),
	MIB(1) + KIB(4),
	MIB(32),
	MIB(256),
	GIB(3) - KIB(4),
	GIB(3),
	GIB(3) + KIB(4),
	GIB(5),
	GIB(64),
};

/* No memory is needed to describe it. */
static struct memmap build(uint64_t size)
{
	struct memmap map;

	memset(&map, 0xa5, sizeof(map));
	memmap_build(&map, size, LAYOUT_FEW_TABLES);
	return map;
}

static void test_sorted_and_disjoint(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct memmap map = build(sizes[i]);

		assert_in_range(map.n_entries, 1, MEMMAP_MAX_ENTRIES);
		for (uint32_t k = 0; k < map.n_entries; k++) {
			const struct hvm_memmap_table_entry *e = &map.entry[k];

			assert_true(e->size > 0);
			assert_int_equal(e->size % 4096, 0);
			assert_int_equal(e->reserved, 0);
			if (k)
				assert_true(e->addr >= e[-1].addr + e[-1].size);
		}
	}
}

/* Every byte but those of the hole below 1 MiB is told as RAM. */
static void test_ram_is_all_there(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct memmap map = build(sizes[i]);
		uint64_t ram = 0, hole = 0;

		for (uint32_t k = 0; k < map.n_entries; k++)
			if (map.entry[k].type == PVH_MEMMAP_RAM)
				ram += map.entry[k].size;
		if (sizes[i] > LAYOUT_LOW_RAM_END)
			hole = (sizes[i] < LAYOUT_HIGH_RAM ? sizes[i] : LAYOUT_HIGH_RAM) -
			       LAYOUT_LOW_RAM_END;
		assert_int_equal(ram + hole, sizes[i]);
	}
}

static uint32_t type_at(const struct memmap *map, gpa_t gpa)
{
	for (uint32_t i = 0; i < map->n_entries; i++)
		if (gpa >= map->entry[i].addr && gpa - map->entry[i].addr < map->entry[i].size)
			return map->entry[i].type;
	return 0;
}

static void test_5g(void **state)
{
	struct memmap map = build(GIB(5));

	assert_int_equal(type_at(&map, 0), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, 0x9ffff), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, 0xa0000), 0);
	assert_int_equal(type_at(&map, LAYOUT_ACPI), PVH_MEMMAP_RESERVED);
	assert_int_equal(type_at(&map, 0xfffff), PVH_MEMMAP_RESERVED);
	assert_int_equal(type_at(&map, 0x100000), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, GIB(3) - 1), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, GIB(3)), 0);
	assert_int_equal(type_at(&map, PLATFORM_VIRTIO_BASE), 0);
	assert_int_equal(type_at(&map, PLATFORM_IOAPIC_BASE), PVH_MEMMAP_RESERVED);
	assert_int_equal(type_at(&map, PLATFORM_LAPIC_BASE), PVH_MEMMAP_RESERVED);
	assert_int_equal(type_at(&map, PLATFORM_KVM_RESERVED), PVH_MEMMAP_RESERVED);
	assert_int_equal(type_at(&map, GIB(4) - 1), 0);
	assert_int_equal(type_at(&map, GIB(4)), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, GIB(6) - 1), PVH_MEMMAP_RAM);
	assert_int_equal(type_at(&map, GIB(6)), 0);
}

static void test_is_ram(void **state)
{
	struct memmap map = build(GIB(5));

	assert_true(memmap_is_ram(&map, 0, 0xa0000));
	assert_false(memmap_is_ram(&map, 0, 0xa0001));
	assert_false(memmap_is_ram(&map, LAYOUT_ACPI, 1));
	assert_true(memmap_is_ram(&map, MIB(1), GIB(3) - MIB(1)));
	assert_false(memmap_is_ram(&map, MIB(1) - 1, 2));
	assert_false(memmap_is_ram(&map, GIB(3) - 1, 2));
	assert_true(memmap_is_ram(&map, GIB(4), GIB(2)));
	assert_false(memmap_is_ram(&map, GIB(4), UINT64_MAX));
	assert_false(memmap_is_ram(&map, UINT64_MAX, 2));
	assert_false(memmap_is_ram(&map, PLATFORM_LAPIC_BASE, 1));
}

/* In its place, whatever lies around it. */
static void test_reserve(void **state)
{
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct memmap before = build(sizes[i]), map = before;
		uint32_t at = 0;

		memmap_reserve(&map, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE);
		assert_int_equal(map.n_entries, before.n_entries + 1);
		while (map.entry[at].addr != PLATFORM_ECAM_BASE)
			at++;
		assert_int_equal(map.entry[at].size, PLATFORM_ECAM_SIZE);
		assert_int_equal(map.entry[at].type, PVH_MEMMAP_RESERVED);
		assert_true(at > 0 && map.entry[at - 1].addr < PLATFORM_ECAM_BASE);
		assert_memory_equal(map.entry, before.entry, at * sizeof(map.entry[0]));
		assert_memory_equal(&map.entry[at + 1], &before.entry[at],
			(before.n_entries - at) * sizeof(map.entry[0]));
		assert_true(map.entry[at + 1].addr >= PLATFORM_ECAM_BASE + PLATFORM_ECAM_SIZE);
	}
}

static void test_names(void **state)
{
	assert_string_equal(memmap_type_name(PVH_MEMMAP_RAM), "RAM");
	assert_string_equal(memmap_type_name(PVH_MEMMAP_RESERVED), "reserved");
	assert_string_equal(memmap_type_name(99), "unknown");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sorted_and_disjoint),
		cmocka_unit_test(test_ram_is_all_there),
		cmocka_unit_test(test_5g),
		cmocka_unit_test(test_is_ram),
		cmocka_unit_test(test_reserve),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
