// SPDX-License-Identifier: MIT
/* memmap.c - the memory map that the guest is told */

#include "boot/memmap.h"
#include "boot/layout.h"
#include "bus/platform.h"

static void memmap_add(struct memmap *map, gpa_t start, gpa_t end, uint32_t type)
{
	if (end <= start)
		return;
	BUG_ON(map->n_entries == MEMMAP_MAX_ENTRIES);
	map->entry[map->n_entries++] = (struct hvm_memmap_table_entry){
		.addr = start,
		.size = end - start,
		.type = type,
	};
}

static gpa_t min_gpa(gpa_t a, gpa_t b)
{
	return a < b ? a : b;
}

void memmap_build(struct memmap *map, uint64_t memory, gpa_t tables_end)
{
	gpa_t low = min_gpa(memory, GUEST_MEM_LOW_MAX);
	gpa_t high = GUEST_MEM_HIGH_BASE + (memory - low);

	/* The devices' windows stay unlisted: what is listed as reserved, a driver may not claim.
	 */
	map->n_entries = 0;
	map->tables_end = tables_end;
	memmap_add(map, 0, min_gpa(low, LAYOUT_LOW_RAM_END), PVH_MEMMAP_RAM);
	memmap_add(map, LAYOUT_ACPI, LAYOUT_HIGH_RAM, PVH_MEMMAP_RESERVED);
	memmap_add(map, LAYOUT_HIGH_RAM, low, PVH_MEMMAP_RAM);
	memmap_add(map, PLATFORM_IOAPIC_BASE, PLATFORM_IOAPIC_BASE + KIB(4), PVH_MEMMAP_RESERVED);
	memmap_add(map, PLATFORM_LAPIC_BASE, PLATFORM_LAPIC_BASE + KIB(4), PVH_MEMMAP_RESERVED);
	memmap_add(
		map, PLATFORM_KVM_RESERVED, PLATFORM_KVM_RESERVED + KIB(16), PVH_MEMMAP_RESERVED);
	memmap_add(map, GUEST_MEM_HIGH_BASE, high, PVH_MEMMAP_RAM);
}

void memmap_reserve(struct memmap *map, gpa_t start, uint64_t size)
{
	uint32_t i = map->n_entries;
	struct hvm_memmap_table_entry last;

	memmap_add(map, start, start + size, PVH_MEMMAP_RESERVED);
	last = map->entry[i];
	for (; i > 0 && map->entry[i - 1].addr > start; i--)
		map->entry[i] = map->entry[i - 1];
	map->entry[i] = last;
}

bool memmap_is_ram(const struct memmap *map, gpa_t gpa, uint64_t size)
{
	for (uint32_t i = 0; i < map->n_entries; i++) {
		const struct hvm_memmap_table_entry *entry = &map->entry[i];

		if (entry->type == PVH_MEMMAP_RAM &&
			range_within(gpa, size, entry->addr, entry->size))
			return true;
	}
	return false;
}

uint64_t memmap_ram(const struct memmap *map)
{
	uint64_t size = 0;

	for (uint32_t i = 0; i < map->n_entries; i++)
		if (map->entry[i].type == PVH_MEMMAP_RAM)
			size += map->entry[i].size;
	return size;
}

const char *memmap_type_name(uint32_t type)
{
	switch (type) {
	case PVH_MEMMAP_RAM: return "RAM";
	case PVH_MEMMAP_RESERVED: return "reserved";
	case PVH_MEMMAP_ACPI: return "ACPI tables";
	case PVH_MEMMAP_NVS: return "ACPI NVS";
	case PVH_MEMMAP_UNUSABLE: return "unusable";
	case PVH_MEMMAP_DISABLED: return "disabled";
	case PVH_MEMMAP_PMEM: return "persistent";
	default: return "unknown";
	}
}
