// SPDX-License-Identifier: GPL-2.0 OR MIT
/* handover.c - read what %ebx points at, believing nothing */

#include "check.h"

struct handover handover;

static struct hvm_memmap_table_entry xen_map[MAX_ENTRIES];

const void *at(uint64_t addr, uint64_t size)
{
	if (!addr || size > 1ull << 32 || addr > (1ull << 32) - size)
		return NULL;
	return (const void *)(uintptr_t)addr;
}

static void read_map(void)
{
	const struct hvm_start_info *info = &handover.info;
	uint32_t n = info->memmap_entries;

	if (n) {
		handover.map_source = "start info";
		handover.map = at(info->memmap_paddr, (uint64_t)n * sizeof(*handover.map));
		handover.n_entries = n < MAX_ENTRIES ? n : MAX_ENTRIES;
	} else if (on_xen()) {
		int stored = xen_memory_map(xen_map, MAX_ENTRIES);

		handover.map_source = "XENMEM_memory_map";
		handover.map = stored > 0 ? xen_map : NULL;
		handover.n_entries = stored > 0 ? (uint32_t)stored : 0;
	}
	if (!handover.map)
		handover.n_entries = 0;
}

static void read_modules(void)
{
	const struct hvm_start_info *info = &handover.info;
	uint32_t n = info->nr_modules;

	handover.modules = at(info->modlist_paddr, (uint64_t)n * sizeof(*handover.modules));
	handover.n_modules = n < MAX_MODULES ? n : MAX_MODULES;
	if (!handover.modules)
		handover.n_modules = 0;
}

static void read_cmdline(void)
{
	const char *text = at(handover.info.cmdline_paddr, 1);
	uint32_t limit;

	if (!text)
		return;
	limit = -(uint32_t)text < MAX_CMDLINE ? -(uint32_t)text : MAX_CMDLINE;
	handover.cmdline_size = text_size(text, limit);
	if (handover.cmdline_size < limit)
		handover.cmdline = text;
}

void handover_read(void)
{
	const struct hvm_start_info *info = at(entry_state.ebx, PVH_START_INFO_V0_SIZE);

	if (!info || info->magic != PVH_START_MAGIC)
		return;
	handover.found = true;
	if (info->version && at(entry_state.ebx, sizeof(*info)))
		handover.info = *info;
	else
		memcpy(&handover.info, info, PVH_START_INFO_V0_SIZE);
	read_map();
	read_modules();
	read_cmdline();
}

const char *lacks_start_info(void)
{
	return handover.found ? NULL : "there is no start info";
}

const char *lacks_map(void)
{
	return handover.map ? NULL : "there is no memory map";
}

const char *lacks_modules(void)
{
	return handover.n_modules ? NULL : "there is no module";
}

const char *lacks_cmdline(void)
{
	if (handover.cmdline)
		return NULL;
	return handover.info.cmdline_paddr ? "the command line has no end"
	                                   : "there is no command line";
}

/* ---- the map ---- */

uint64_t entry_end(const struct hvm_memmap_table_entry *entry)
{
	return entry->addr > UINT64_MAX - entry->size ? UINT64_MAX : entry->addr + entry->size;
}

/* Whether an entry that is RAM, or one that is not, has a byte of the range. */
static bool touches(uint64_t addr, uint64_t end, bool ram)
{
	for (uint32_t i = 0; i < handover.n_entries; i++) {
		const struct hvm_memmap_table_entry *e = &handover.map[i];

		if ((e->type == PVH_MEMMAP_RAM) == ram && e->addr < end && entry_end(e) > addr)
			return true;
	}
	return false;
}

bool touches_ram(uint64_t addr, uint64_t size)
{
	return touches(addr, addr + size, true);
}

/* The end of the RAM that holds addr, or addr itself. */
static uint64_t ram_end(uint64_t addr)
{
	uint64_t end = addr;

	for (uint32_t i = 0; i < handover.n_entries; i++) {
		const struct hvm_memmap_table_entry *e = &handover.map[i];

		if (e->type == PVH_MEMMAP_RAM && e->addr <= addr && entry_end(e) > end)
			end = entry_end(e);
	}
	return end;
}

bool is_ram(uint64_t addr, uint64_t size)
{
	uint64_t end = addr + size;

	if (end < addr || touches(addr, end, false))
		return false;
	for (uint32_t i = 0; i < handover.n_entries && addr < end; i++)
		addr = ram_end(addr);
	return addr >= end;
}

/* ---- the command line ---- */

const char *option(const char *name)
{
	uint32_t size = text_size(name, UINT32_MAX);

	for (uint32_t i = 0; i + size < handover.cmdline_size; i++) {
		const char *word = handover.cmdline + i;

		if ((!i || word[-1] == ' ') && word[size] == '=' && bytes_equal(word, name, size))
			return word + size + 1;
	}
	return NULL;
}

uint32_t number(const char **text)
{
	uint32_t value = 0;

	while (**text >= '0' && **text <= '9')
		value = value * 10 + (uint32_t)(*(*text)++ - '0');
	return value;
}
