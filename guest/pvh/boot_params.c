// SPDX-License-Identifier: GPL-2.0 OR MIT
/* boot_params.c - Linux's struct boot_params from a struct pvh_info
 *
 * What depends on the kernel's file (alignment, room for the command line) is left 0; who has the
 * file at hand lays the setup header in it over this one.
 */

#include "pvh.h"

#include <asm/bootparam.h>

#ifdef CONFIG_PVH

/* What a PC has between 640 KiB and 1 MiB: video memory and ROMs.  A kernel may look there whatever
 * the map says, and must not use it as RAM.
 */
#define ISA_START 0xa0000u
#define ISA_END   0x100000u

#define BOOT_FLAG     0xaa55
#define BOOT_HEADER   0x53726448 /* "HdrS" */
#define BOOT_PROTOCOL 0x020c

/* Loader 9 is Xen, 11 was given to QEMU; version 0. */
#define LOADER_XEN   0x90
#define LOADER_OTHER 0xb0

/* Append [addr, end), or make the last entry longer by it.  Returns how many entries had no room.
 */
static uint32_t e820_add(struct boot_params *params, uint64_t addr, uint64_t end, uint32_t type)
{
	struct boot_e820_entry *entry = params->e820_table + params->e820_entries;

	if (addr >= end)
		return 0;
	if (params->e820_entries && entry[-1].type == type &&
		entry[-1].addr + entry[-1].size == addr) {
		entry[-1].size += end - addr;
		return 0;
	}
	if (params->e820_entries == E820_MAX_ENTRIES_ZEROPAGE)
		return 1;
	entry->addr = addr;
	entry->size = end - addr;
	entry->type = type;
	params->e820_entries++;
	return 0;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* What the regions say of [from, to). */
static uint32_t e820_add_between(
	struct boot_params *params, const struct pvh_info *info, uint64_t from, uint64_t to)
{
	uint32_t n_lost = 0;
	uint32_t i;

	for (i = 0; i < info->n_regions; i++) {
		const struct hvm_memmap_table_entry *region = &info->regions[i];

		n_lost += e820_add(params, max_u64(region->addr, from),
			min_u64(region->addr + region->size, to), region->type);
	}
	return n_lost;
}

/* In the ISA range, what is RAM or nothing becomes reserved; the rest (ACPI tables) stays. */
static uint32_t e820_add_isa(struct boot_params *params, const struct pvh_info *info)
{
	uint64_t pos = ISA_START;
	uint32_t n_lost = 0;
	uint32_t i;

	for (i = 0; i < info->n_regions; i++) {
		const struct hvm_memmap_table_entry *region = &info->regions[i];
		uint64_t addr = max_u64(region->addr, ISA_START);
		uint64_t end = min_u64(region->addr + region->size, ISA_END);

		if (region->type == PVH_MEMMAP_RAM || addr >= end)
			continue;
		n_lost += e820_add(params, pos, addr, PVH_MEMMAP_RESERVED);
		n_lost += e820_add(params, addr, end, region->type);
		pos = end;
	}
	return n_lost + e820_add(params, pos, ISA_END, PVH_MEMMAP_RESERVED);
}

static uint32_t low(uint64_t value)
{
	return (uint32_t)value;
}

static uint32_t high(uint64_t value)
{
	return (uint32_t)(value >> 32);
}

static void header_fill(struct boot_params *params, const struct pvh_info *info)
{
	struct setup_header *hdr = &params->hdr;

	hdr->boot_flag = BOOT_FLAG;
	hdr->header = BOOT_HEADER;
	hdr->version = BOOT_PROTOCOL;
	hdr->type_of_loader = info->guest == PVH_GUEST_XEN ? LOADER_XEN : LOADER_OTHER;
	hdr->cmd_line_ptr = low(info->cmdline.addr);
	params->ext_cmd_line_ptr = high(info->cmdline.addr);
	if (info->n_modules) {
		const struct pvh_range *initrd = &info->modules[0].data;

		hdr->ramdisk_image = low(initrd->addr);
		hdr->ramdisk_size = low(initrd->size);
		params->ext_ramdisk_image = high(initrd->addr);
		params->ext_ramdisk_size = high(initrd->size);
	}
	params->acpi_rsdp_addr = info->rsdp;
}

uint32_t pvh_boot_params(const struct pvh_info *info, struct boot_params *params)
{
	uint32_t n_lost;

	__builtin_memset(params, 0, sizeof(*params));
	header_fill(params, info);
	n_lost = e820_add_between(params, info, 0, ISA_START);
	n_lost += e820_add_isa(params, info);
	n_lost += e820_add_between(params, info, ISA_END, UINT64_MAX);
	return n_lost;
}

#endif /* CONFIG_PVH */
