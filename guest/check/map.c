// SPDX-License-Identifier: GPL-2.0 OR MIT
/* map.c - the memory map: the start info's, or what Xen says when asked */

#include "check.h"

static enum verdict there(void)
{
	if (handover.map)
		return PASS;
	if (handover.map_source)
		detail("%s: %u entries at %llx", handover.map_source, handover.info.memmap_entries,
			handover.info.memmap_paddr);
	else
		detail("no entries, and no hypervisor to ask");
	return FAIL;
}

static enum verdict entry_is(bool ok, uint32_t i)
{
	const struct hvm_memmap_table_entry *e = &handover.map[i];

	if (ok)
		return PASS;
	detail("entry %u: %llx bytes at %llx, type %x, reserved %x", i, e->size, e->addr, e->type,
		e->reserved);
	return FAIL;
}

/* The first failure among the entries. */
static enum verdict all_entries(bool (*is_good)(const struct hvm_memmap_table_entry *))
{
	for (uint32_t i = 0; i < handover.n_entries; i++)
		if (!is_good(&handover.map[i]))
			return entry_is(false, i);
	return PASS;
}

static bool type_known(const struct hvm_memmap_table_entry *e)
{
	return e->type >= PVH_MEMMAP_RAM && e->type <= PVH_MEMMAP_PMEM;
}

static enum verdict types(void)
{
	return all_entries(type_known);
}

static bool reserved_zero(const struct hvm_memmap_table_entry *e)
{
	return !e->reserved;
}

static enum verdict reserved(void)
{
	if (!handover.info.memmap_entries)
		return skip("Xen's entries have no such field");
	return all_entries(reserved_zero);
}

static bool ends_in_time(const struct hvm_memmap_table_entry *e)
{
	return e->addr <= UINT64_MAX - e->size;
}

static enum verdict no_wrap(void)
{
	return all_entries(ends_in_time);
}

static uint32_t address_bits(void)
{
	return cpuid(0x80000000).eax >= 0x80000008 ? cpuid(0x80000008).eax & 0xff : 36;
}

static bool addressable(const struct hvm_memmap_table_entry *e)
{
	return e->type != PVH_MEMMAP_RAM || !e->size || !((entry_end(e) - 1) >> address_bits());
}

static enum verdict all_addressable(void)
{
	detail("the processor has %u address bits; ", address_bits());
	return all_entries(addressable);
}

static bool not_ram(const struct hvm_memmap_table_entry *e)
{
	return e->type != PVH_MEMMAP_RAM || !e->size;
}

static enum verdict has_ram(void)
{
	for (uint32_t i = 0; i < handover.n_entries; i++)
		if (!not_ram(&handover.map[i]))
			return PASS;
	return fail("no entry is RAM");
}

static enum verdict image_in_ram(void)
{
	uint32_t start = (uint32_t)image_start, end = (uint32_t)image_end;

	detail("%x to %x", start, end - 1);
	return is_ram(start, end - start) ? PASS : FAIL;
}

static enum verdict sorted(void)
{
	for (uint32_t i = 1; i < handover.n_entries; i++)
		if (handover.map[i].addr < handover.map[i - 1].addr)
			return entry_is(false, i);
	return PASS;
}

static enum verdict disjoint(void)
{
	for (uint32_t i = 0; i < handover.n_entries; i++)
		for (uint32_t j = i + 1; j < handover.n_entries; j++)
			if (handover.map[i].addr < entry_end(&handover.map[j]) &&
				handover.map[j].addr < entry_end(&handover.map[i]))
				return entry_is(false, j);
	return PASS;
}

static enum verdict few(void)
{
	detail("%u entries", handover.n_entries);
	return handover.n_entries <= 127 ? PASS : FAIL;
}

static enum verdict page_one(void)
{
	return verdict(is_ram(0x1000, 0x1000), "0x1000 to 0x1fff is not RAM");
}

static enum verdict low_ram(void)
{
	for (uint32_t page = 0x1000; page < 0x9f000; page += 0x1000)
		if (is_ram(page, 0x1000))
			return PASS;
	return fail("no page from 0x1000 to 0x9efff is RAM");
}

/* Linux believes the word at 0x413, KiB of base memory, if it is 128 to 636, and takes nothing
 * above for RAM.  Zero means that there is no BIOS.
 */
static enum verdict bios_area(void)
{
	uint32_t kib = *(volatile uint16_t *)0x413;

	if (kib < 128 || kib > 636)
		return PASS;
	detail("0x413 says %u KiB; the map has RAM above", kib);
	return touches_ram(kib << 10, 0xa0000 - (kib << 10)) ? FAIL : PASS;
}

static const struct check rows[] = {
	{ "memory map: there is one", START_INFO, NULL, lacks_start_info, there },
	{ "memory map: reserved fields are 0", START_MAP, NULL, lacks_map, reserved },
	{ "memory map: types are known", START_MAP, NULL, lacks_map, types },
	{ "memory map: no entry wraps", START_MAP, NULL, lacks_map, no_wrap },
	{ "memory map: has RAM", START_MAP, NULL, lacks_map, has_ram },
	{ "memory map: the processor can address all RAM", START_MAP, NULL, lacks_map,
		all_addressable },
	{ "memory map: the image is in RAM", START_MAP, NULL, lacks_map, image_in_ram },
	{ "memory map: sorted", NULL, "kernels that take it as it comes", lacks_map, sorted },
	{ "memory map: no overlaps", NULL, "kernels that take it as it comes", lacks_map,
		disjoint },
	{ "memory map: 127 entries at most", NULL,
		"Linux has 128 slots, adds one and does not count", lacks_map, few },
	{ "memory map: page 1 is RAM", NULL, "Xen as a guest has its trampoline there", lacks_map,
		page_one },
	{ "memory map: has RAM below 636 KiB", NULL, "Linux starts its other processors there",
		lacks_map, low_ram },
	{ "memory map: agrees with the BIOS data area", NULL,
		"Linux reserves what the word at 0x413 excludes", lacks_map, bios_area },
};

const struct checks map_checks = CHECKS(rows);
