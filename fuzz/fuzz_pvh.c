// SPDX-License-Identifier: MIT
/* fuzz_pvh.c - a hand-over: what libpvh's core lets through keeps the promises of pvh.h
 *
 * The input is guest memory from address 0.  Its first 8 bytes, which nothing may point to, say
 * where the start info is (u32), who the hypervisor is (u8), and how many entries Xen's own map has
 * (u8); that map follows them.
 */

#include "pvh/pvh.h"

#include "util/bits.h"

#include <asm/bootparam.h>
#include <pvh/xen.h>
#include <stdlib.h>
#include <string.h>

#define PAGE    4096u
#define XEN_MAP 8u
#define ISA     0xa0000u
#define ISA_END 0x100000u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *memory;
static uint64_t memory_size;

static const struct pvh_range image = { 0x10000, 0x8000 };

void *pvh_phys(uint64_t paddr, uint64_t size)
{
	return range_within(paddr, size, 0, memory_size) ? memory + paddr : NULL;
}

void pvh_cpuid(uint32_t leaf, uint32_t regs[4])
{
	static const char *const signatures[] = { "Microsoft Hv", "KVMKVMKVM\0\0\0",
		"XenVMMXenVMM" };

	memset(regs, 0, 4 * sizeof(*regs));
	if (leaf != XEN_CPUID_FIRST + XEN_CPUID_STEP)
		return;
	regs[0] = leaf + XEN_CPUID_HYPERCALL;
	memcpy(&regs[1], signatures[memory[4] % ARRAY_SIZE(signatures)], 12);
}

int pvh_xen_init(const struct pvh_info *info)
{
	BUG_ON(info->guest != PVH_GUEST_XEN || info->xen_base != XEN_CPUID_FIRST + XEN_CPUID_STEP);
	return 0;
}

int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	*n = *n < memory[5] ? *n : memory[5];
	if (!range_within(XEN_MAP, *n * sizeof(*out), 0, memory_size))
		return -PVH_E_XEN;
	memcpy(out, memory + XEN_MAP, *n * sizeof(*out));
	return 0;
}

static uint32_t type_at(const struct pvh_info *info, uint64_t addr)
{
	for (uint32_t i = 0; i < info->n_regions; i++)
		if (range_within(addr, 1, info->regions[i].addr, info->regions[i].size))
			return info->regions[i].type;
	return 0;
}

static void check_regions(const struct pvh_info *info)
{
	BUG_ON(!info->n_regions || info->n_regions > PVH_MAX_REGIONS);
	for (uint32_t i = 0; i < info->n_regions; i++) {
		const struct hvm_memmap_table_entry *region = &info->regions[i];

		BUG_ON(!region->size || !region->type || region->reserved);
		BUG_ON(region->addr + region->size < region->addr);
		BUG_ON(i && region[-1].addr + region[-1].size > region->addr);
		BUG_ON(i && region[-1].addr + region[-1].size == region->addr &&
			region[-1].type == region->type);
	}
}

/* Each entry holds where it starts and ends, or one that is stronger does.  Regions that were lost
 * lie above all that were kept.
 */
static void check_entries(
	const struct pvh_info *info, const struct hvm_memmap_table_entry *entries, uint32_t n)
{
	const struct hvm_memmap_table_entry *top = &info->regions[info->n_regions - 1];

	for (uint32_t i = 0; i < n; i++) {
		struct hvm_memmap_table_entry entry;
		uint64_t last;

		memcpy(&entry, (const uint8_t *)entries + i * sizeof(entry), sizeof(entry));
		last = entry.addr + entry.size - 1;
		if (last < entry.addr || last == UINT64_MAX)
			last = UINT64_MAX - 1;
		if (!entry.size || entry.addr == UINT64_MAX)
			continue;
		if (!info->n_lost || entry.addr < top->addr + top->size)
			BUG_ON(type_at(info, entry.addr) < entry.type);
		if (!info->n_lost || last < top->addr + top->size)
			BUG_ON(type_at(info, last) < entry.type);
	}
}

static void check_cmdline(const struct pvh_range *cmdline)
{
	const char *text = pvh_phys(cmdline->addr, cmdline->size + 1);

	BUG_ON(!cmdline->addr && cmdline->size);
	if (!cmdline->addr)
		return;
	BUG_ON(!text || cmdline->size >= PVH_MAX_CMDLINE);
	BUG_ON(memchr(text, 0, cmdline->size + 1) != text + cmdline->size);
}

static void check_modules(const struct pvh_info *info)
{
	BUG_ON(info->n_modules > PVH_MAX_MODULES);
	for (uint32_t i = 0; i < info->n_modules; i++) {
		const struct pvh_range *module = &info->modules[i].data;

		BUG_ON(module->addr + module->size < module->addr);
		BUG_ON(module->size && module->addr < image.addr + image.size &&
			image.addr < module->addr + module->size);
		check_cmdline(&info->modules[i].cmdline);
	}
}

static void check_boot_params(const struct pvh_info *info)
{
	static struct boot_params params;
	uint32_t n_lost;

	memset(&params, 0xa5, sizeof(params));
	n_lost = pvh_boot_params(info, &params);
	BUG_ON(!params.e820_entries || params.e820_entries > E820_MAX_ENTRIES_ZEROPAGE);
	BUG_ON(n_lost && params.e820_entries < E820_MAX_ENTRIES_ZEROPAGE);
	BUG_ON(params.sentinel || params.hdr.version != 0x20c);
	for (uint32_t i = 0; i < params.e820_entries; i++) {
		const struct boot_e820_entry *e = &params.e820_table[i];
		struct pvh_range range = { e->addr, e->size };

		BUG_ON(!e->size || e->addr + e->size < e->addr);
		BUG_ON(i && e[-1].addr + e[-1].size > e->addr);
		if (e->type != PVH_MEMMAP_RAM)
			continue;
		BUG_ON(!pvh_memmap_is_ram(info, range));
		BUG_ON(e->addr < ISA_END && e->addr + e->size > ISA);
	}
}

static void check_start(const struct pvh_info *info, uint32_t addr)
{
	struct hvm_start_info start = { 0 };

	memcpy(&start, memory + addr, PVH_START_INFO_V0_SIZE);
	BUG_ON(start.magic != PVH_START_MAGIC || start.version != info->version);
	if (start.version)
		memcpy(&start, memory + addr, sizeof(start));
	BUG_ON(start.nr_modules != info->n_modules || start.rsdp_paddr != info->rsdp);
	BUG_ON(start.cmdline_paddr != info->cmdline.addr);
	if (start.memmap_entries)
		check_entries(info, pvh_phys(start.memmap_paddr, 1), start.memmap_entries);
	else
		check_entries(info, (void *)(memory + XEN_MAP), memory[5]);
	BUG_ON(!start.memmap_entries && info->guest != PVH_GUEST_XEN);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pvh_info info;
	uint32_t start;
	int ret;

	if (size < XEN_MAP)
		return 0;
	memory_size = (size + PAGE - 1) / PAGE * PAGE;
	memory = calloc(1, memory_size);
	if (!memory)
		return 0;
	memcpy(memory, data, size);
	memcpy(&start, data, sizeof(start));
	ret = pvh_info_read(&info, start, image);
	if (ret) {
		BUG_ON(ret > 0 || ret < -PVH_E_CMDLINE || ret == -PVH_E_NO_XEN);
	} else {
		BUG_ON(!pvh_memmap_is_ram(&info, image));
		check_regions(&info);
		check_cmdline(&info.cmdline);
		check_modules(&info);
		check_start(&info, start);
		check_boot_params(&info);
	}
	free(memory);
	return 0;
}
