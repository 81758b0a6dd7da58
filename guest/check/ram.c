// SPDX-License-Identifier: GPL-2.0 OR MIT
/* ram.c - is RAM what the map calls RAM?
 *
 * What lies above 4 GiB is seen through a window of 2 MiB.  The paging is that of 64-bit mode,
 * which every processor with so much memory has; the code stays in a 32-bit segment.
 */

#include "check.h"

#define PAGE    4096u
#define WINDOW  0x40000000u /* virtual; what is physically there is not needed meanwhile */
#define PRESENT 3u          /* and writable */
#define LARGE   0x80u
#define LOW_2M  0x1fffffu

static uint64_t level4[512] __attribute__((aligned(4096)));
static uint64_t level3[512] __attribute__((aligned(4096)));
static uint64_t level2_low[512] __attribute__((aligned(4096)));
static uint64_t level2_window[512] __attribute__((aligned(4096)));

/* The image and its stack, in the first GiB, one to one; and the window. */
static void make_tables(void)
{
	for (uint32_t i = 0; i < 512; i++)
		level2_low[i] = (uint64_t)i << 21 | LARGE | PRESENT;
	level3[0] = (uint32_t)level2_low | PRESENT;
	level3[WINDOW >> 30] = (uint32_t)level2_window | PRESENT;
	level4[0] = (uint32_t)level3 | PRESENT;
}

static bool kept;

/* The word keeps what is written, and gets back what it held. */
static void try_word(uint32_t addr)
{
	volatile uint32_t *word = (volatile uint32_t *)addr;
	uint32_t old = *word;

	*word = ~old;
	kept = *word == ~old;
	*word = old;
	kept &= *word == old;
}

static void try_high_word(uint64_t addr)
{
	level2_window[0] = (addr & ~(uint64_t)LOW_2M) | LARGE | PRESENT;
	paging_set((uint32_t)level4);
	if (try_call(try_word, WINDOW + ((uint32_t)addr & LOW_2M)))
		kept = false;
	paging_set(0);
}

static bool word_is_ram(uint64_t addr)
{
	kept = false;
	if (addr >> 32)
		try_high_word(addr);
	else
		try_word((uint32_t)addr);
	return kept;
}

static bool has_long_mode(void)
{
	return cpuid(0x80000000).eax >= 0x80000001 && (cpuid(0x80000001).edx & 1u << 29);
}

/* First and last word of the first and of the last page. */
static bool ends_are_ram(uint64_t addr, uint64_t end)
{
	uint64_t words[4];

	addr = (addr + 3) & ~3ull;
	end &= ~3ull;
	if (addr >= end || end - addr < PAGE)
		return addr >= end || (word_is_ram(addr) && word_is_ram(end - 4));
	words[0] = addr;
	words[1] = addr + PAGE - 4;
	words[2] = end - PAGE;
	words[3] = end - 4;
	for (uint32_t i = 0; i < 4; i++)
		if (!word_is_ram(words[i])) {
			detail("the word at %llx; ", words[i]);
			return false;
		}
	return true;
}

/* All RAM entries, as far as they lie in [from, to); FAIL at the first that is none. */
static enum verdict touch(uint64_t from, uint64_t to)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < handover.n_entries; i++) {
		const struct hvm_memmap_table_entry *e = &handover.map[i];
		uint64_t addr = e->addr > from ? e->addr : from;
		uint64_t end = entry_end(e) < to ? entry_end(e) : to;

		if (e->type != PVH_MEMMAP_RAM || addr >= end)
			continue;
		n++;
		if (!ends_are_ram(addr, end)) {
			detail("entry %u is not RAM", i);
			return FAIL;
		}
	}
	return n ? PASS : skip("there is none");
}

static enum verdict low(void)
{
	return touch(0, 1ull << 32);
}

static enum verdict high(void)
{
	if (!has_long_mode())
		return skip("the processor has no 64-bit mode");
	make_tables();
	return touch(1ull << 32, 1ull << 52);
}

/* With A20 held low, two addresses that differ in bit 20 alone are one. */
static enum verdict a20(void)
{
	static volatile uint32_t cell;
	volatile uint32_t *other = (volatile uint32_t *)((uint32_t)&cell ^ 0x100000);
	uint32_t old;
	bool same;

	if (handover.map && !is_ram((uint32_t)other, 4))
		return skip("the image's neighbour is not RAM");
	old = *other;
	cell = 0x12345678;
	*other = 0x9abcdef0;
	same = cell != 0x12345678;
	*other = old;
	return verdict(!same, "it makes no difference");
}

static const struct check rows[] = {
	{ "RAM: first and last page of each entry below 4 GiB", START_MAP, NULL, lacks_map, low },
	{ "RAM: first and last page of each entry above 4 GiB", START_MAP, NULL, lacks_map, high },
	{ "RAM: address bit 20 counts", NULL, "every kernel", NULL, a20 },
};

const struct checks ram_checks = CHECKS(rows);
