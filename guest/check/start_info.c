// SPDX-License-Identifier: GPL-2.0 OR MIT
/* start_info.c - the start info, the command line, and where everything lies */

#include "check.h"

#define GIB (1ull << 30)

/* ---- the ranges that the VMM filled, and the image ---- */

struct range {
	uint64_t addr, size;
	const char *name;
};

#define MAX_RANGES (5 + 2 * MAX_MODULES)

static struct range ranges[MAX_RANGES];
static uint32_t n_ranges;

static void add_range(uint64_t addr, uint64_t size, const char *name)
{
	if (addr && size)
		ranges[n_ranges++] = (struct range){ addr, size, name };
}

static void collect_ranges(void)
{
	const struct hvm_start_info *info = &handover.info;

	n_ranges = 0;
	add_range((uint32_t)image_start, (uint32_t)(image_end - image_start), "the image");
	add_range(entry_state.ebx, info->version ? sizeof(*info) : PVH_START_INFO_V0_SIZE,
		"the start info");
	add_range(info->memmap_paddr,
		(uint64_t)info->memmap_entries * sizeof(struct hvm_memmap_table_entry),
		"the memory map");
	add_range(info->modlist_paddr,
		(uint64_t)info->nr_modules * sizeof(struct hvm_modlist_entry), "the module list");
	if (handover.cmdline)
		add_range(info->cmdline_paddr, handover.cmdline_size + 1u, "the command line");
	for (uint32_t i = 0; i < handover.n_modules; i++) {
		const struct hvm_modlist_entry *module = &handover.modules[i];
		const char *text = at(module->cmdline_paddr, 1);

		add_range(module->paddr, module->size, "a module");
		if (text)
			add_range(module->cmdline_paddr, text_size(text, 4096) + 1u,
				"a module's command line");
	}
}

static enum verdict no_overlap(void)
{
	collect_ranges();
	for (uint32_t i = 0; i < n_ranges; i++)
		for (uint32_t j = i + 1; j < n_ranges; j++) {
			const struct range *a = &ranges[i], *b = &ranges[j];

			/* Distances, so that nothing wraps. */
			if (a->addr <= b->addr ? b->addr - a->addr >= a->size
					       : a->addr - b->addr >= b->size)
				continue;
			detail("%s at %llx and %s at %llx", a->name, a->addr, b->name, b->addr);
			return FAIL;
		}
	return PASS;
}

static enum verdict all_in_ram(void)
{
	collect_ranges();
	for (uint32_t i = 0; i < n_ranges; i++)
		if (!is_ram(ranges[i].addr, ranges[i].size)) {
			detail("%s: %llx bytes at %llx", ranges[i].name, ranges[i].size,
				ranges[i].addr);
			return FAIL;
		}
	return PASS;
}

/* OSv builds structures from 0x1000 on and has its stack below 0x7c00, while it still reads ours.
 */
static enum verdict low_pages_free(void)
{
	collect_ranges();
	for (uint32_t i = 0; i < n_ranges; i++)
		if (ranges[i].addr < 0x7c00 && ranges[i].addr + ranges[i].size > 0x1000) {
			detail("%s is at %llx", ranges[i].name, ranges[i].addr);
			return FAIL;
		}
	return PASS;
}

/* ---- the start info ---- */

static enum verdict magic(void)
{
	const uint32_t *word = at(entry_state.ebx, PVH_START_INFO_V0_SIZE);

	if (handover.found)
		return PASS;
	if (word)
		detail("ebx is %x; the word there is %x", entry_state.ebx, *word);
	else
		detail("ebx is %x", entry_state.ebx);
	return FAIL;
}

static enum verdict version(void)
{
	return verdict(handover.info.version >= 1, "version 0: there is no place for a memory map");
}

static enum verdict reserved(void)
{
	if (!handover.info.version)
		return skip("version 0 has no such field");
	detail("is %x", handover.info.reserved);
	return handover.info.reserved ? FAIL : PASS;
}

/* An address of the start info. */
struct pointer {
	uint64_t addr;
	const char *name;
};

static enum verdict pointers_below(const struct pointer *pointers, uint32_t n, uint64_t limit)
{
	for (uint32_t i = 0; i < n; i++)
		if (pointers[i].addr >= limit) {
			detail("%s is %llx", pointers[i].name, pointers[i].addr);
			return FAIL;
		}
	return PASS;
}

static enum verdict below_4g(void)
{
	const struct hvm_start_info *info = &handover.info;
	const struct pointer pointers[] = {
		{ info->modlist_paddr, "modlist_paddr" },
		{ info->cmdline_paddr, "cmdline_paddr" },
		{ info->rsdp_paddr, "rsdp_paddr" },
		{ info->memmap_entries ? info->memmap_paddr : 0, "memmap_paddr" },
	};

	return pointers_below(pointers, 4, 4 * GIB);
}

static enum verdict lists_below_1g(void)
{
	const struct hvm_start_info *info = &handover.info;
	const struct pointer pointers[] = {
		{ info->modlist_paddr, "modlist_paddr" },
		{ info->memmap_entries ? info->memmap_paddr : 0, "memmap_paddr" },
	};

	return pointers_below(pointers, 2, GIB);
}

static enum verdict others_below_1g(void)
{
	const struct pointer pointers[] = {
		{ entry_state.ebx, "ebx" },
		{ handover.info.cmdline_paddr, "cmdline_paddr" },
	};

	return pointers_below(pointers, 2, GIB);
}

/* Not the magic alone: a shadowed ROM may show one word and keep another. */
static enum verdict writable(void)
{
	volatile uint32_t *word = (volatile uint32_t *)entry_state.ebx;
	uint32_t old = *word;
	bool kept;

	*word = ~old;
	kept = *word == ~old;
	*word = old;
	return verdict(kept && *word == old, "the first word does not keep what is written");
}

/* ---- the command line ---- */

static const char *lacks_cmdline_pointer(void)
{
	const char *lack = lacks_start_info();

	return lack || handover.info.cmdline_paddr ? lack : "there is no command line";
}

static const char *lacks_map_or_cmdline(void)
{
	return lacks_map() ? lacks_map() : lacks_cmdline();
}

static enum verdict cmdline_text(void)
{
	if (!handover.cmdline) {
		detail("no NUL in %u bytes from %llx", handover.cmdline_size,
			handover.info.cmdline_paddr);
		return FAIL;
	}
	for (uint32_t i = 0; i < handover.cmdline_size; i++)
		if (handover.cmdline[i] & 0x80) {
			detail("byte %u is %x", i, (uint32_t)(uint8_t)handover.cmdline[i]);
			return FAIL;
		}
	return PASS;
}

static enum verdict cmdline_room(void)
{
	detail("at %llx", handover.info.cmdline_paddr);
	return is_ram(handover.info.cmdline_paddr, 2048) ? PASS : FAIL;
}

/* pvh-check.fill=N: and N characters of a known sequence, up to the command line's end. */
static enum verdict cmdline_whole(void)
{
	const char *text = option("pvh-check.fill");
	uint32_t n, have;

	if (!text)
		return skip("pvh-check.fill= was not given");
	n = number(&text);
	text++;
	have = text_size(text, n + 1);
	for (uint32_t i = 0; i < have && i < n; i++)
		if (text[i] != (char)('a' + (i + i / 26) % 26)) {
			detail("character %u of %u is wrong", i, n);
			return FAIL;
		}
	detail("%u characters of %u arrived", have, n);
	return have == n ? PASS : FAIL;
}

static const struct check rows[] = {
	{ "ebx: points at a start info, by its magic", PVH_STATE, NULL, NULL, magic },
	{ "start info: version 1 or later", START_INFO,
		"kernels without hypercalls: Linux, unless built for Xen", lacks_start_info,
		version },
	{ "start info: reserved field is 0", START_INFO, NULL, lacks_start_info, reserved },
	{ "start info: its addresses are below 4 GiB", START_INFO, NULL, lacks_start_info,
		below_4g },
	{ "start info: memory map and module list are below 1 GiB", NULL,
		"Linux and FreeBSD read them through a first mapping of 1 GiB", lacks_start_info,
		lists_below_1g },
	{ "start info: it and the command line are below 1 GiB", NULL,
		"FreeBSD reads them through a first mapping of 1 GiB", lacks_start_info,
		others_below_1g },
	{ "start info: can be written", NULL,
		"Linux since 6.12 and Xen have their first stack there", lacks_start_info,
		writable },
	{ "hand-over: nothing overlaps", START_INFO, NULL, lacks_start_info, no_overlap },
	{ "hand-over: all of it is in RAM of the map", NULL, "Linux maps what the map calls RAM",
		lacks_map, all_in_ram },
	{ "hand-over: nothing is in 0x1000 to 0x7bff", NULL, "OSv writes there while it reads",
		lacks_start_info, low_pages_free },
	{ "command line: ASCII, and has an end", START_INFO, NULL, lacks_cmdline_pointer,
		cmdline_text },
	{ "command line: 2048 bytes from its start are RAM", NULL,
		"Linux copies so many whatever the length", lacks_map_or_cmdline, cmdline_room },
	{ "command line: arrives whole", NULL,
		"who gave it; a VMM that cannot pass it on should refuse", lacks_cmdline,
		cmdline_whole },
};

const struct checks start_info_checks = CHECKS(rows);
