// SPDX-License-Identifier: MIT
/* startinfo.c - what the start info says, held against the machine */

#include "guest.h"

#define PAGE 4096u

static const struct hvm_memmap_table_entry *map;
static uint32_t n_entries;

static uint8_t byte_sum(const void *data, uint32_t size)
{
	const uint8_t *byte = data;
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum + *byte++);
	return sum;
}

/* ---- memory ---- */

/* One window of 2 MiB in the device hole shows memory above 4 GiB.  The paging is that of 64-bit
 * mode, whose tables every KVM has; the code stays in a 32-bit segment.
 */
#define WINDOW   0xd8000000u
#define CR0_PG   0x80000000u
#define CR4_PAE  0x20u
#define MSR_EFER 0xc0000080u
#define EFER_LME 0x100u

static uint64_t page_level4[512] __attribute__((aligned(4096)));
static uint64_t page_level3[512] __attribute__((aligned(4096)));
static uint64_t page_level2[4][512] __attribute__((aligned(4096)));

static void paging_on(void)
{
	for (uint32_t i = 0; i < 2048; i++)
		page_level2[i / 512][i % 512] = (uint64_t)i << 21 | 0x83;
	for (uint32_t i = 0; i < 4; i++)
		page_level3[i] = (uint32_t)page_level2[i] | 3;
	page_level4[0] = (uint32_t)page_level3 | 3;
	__asm__ volatile("movl %0, %%cr4" : : "r"(CR4_PAE));
	__asm__ volatile("movl %0, %%cr3" : : "r"(page_level4) : "memory");
	write_msr(MSR_EFER, EFER_LME);
	__asm__ volatile("movl %%cr0, %%eax; orl %0, %%eax; movl %%eax, %%cr0; jmp 1f; 1:"
			 :
			 : "i"(CR0_PG)
			 : "eax", "memory");
}

/* The word at `gpa` keeps what is written, and gets back what it held. */
static bool word_is_ram(uint64_t gpa)
{
	volatile uint32_t *word = (volatile uint32_t *)(uint32_t)gpa;
	uint32_t old;
	bool kept;

	if (gpa >> 32) {
		page_level2[WINDOW >> 30][WINDOW >> 21 & 511] = (gpa & ~0x1fffffull) | 0x83;
		__asm__ volatile("movl %%cr3, %%eax; movl %%eax, %%cr3" : : : "eax", "memory");
		word = (volatile uint32_t *)(WINDOW + (uint32_t)(gpa & 0x1fffff));
	}
	old = *word;
	*word = ~old;
	kept = *word == ~old;
	*word = old;
	return kept;
}

static bool ram_is_there(void)
{
	bool there = true;

	for (uint32_t i = 0; i < n_entries; i++)
		if (map[i].type == PVH_MEMMAP_RAM)
			there &= word_is_ram(map[i].addr) && word_is_ram(map[i].addr + PAGE - 4) &&
			         word_is_ram(map[i].addr + map[i].size - PAGE) &&
			         word_is_ram(map[i].addr + map[i].size - 4);
	return there;
}

/* What the map calls nobody's is not RAM: right after each entry that ends above 1 MiB. */
static bool ram_ends(void)
{
	for (uint32_t i = 0; i < n_entries; i++) {
		uint64_t end = map[i].addr + map[i].size;

		if (map[i].type != PVH_MEMMAP_RAM || end <= 0x100000)
			continue;
		if ((i + 1 == n_entries || map[i + 1].addr > end) && word_is_ram(end))
			return false;
	}
	return true;
}

static bool inside_ram(uint64_t addr, uint64_t size)
{
	for (uint32_t i = 0; i < n_entries; i++)
		if (map[i].type == PVH_MEMMAP_RAM && addr >= map[i].addr &&
			addr + size <= map[i].addr + map[i].size)
			return true;
	return false;
}

static void check_map(void)
{
	bool sorted = true, pages = true, known = true, zero = true;
	uint64_t ram = 0;

	for (uint32_t i = 0; i < n_entries; i++) {
		const struct hvm_memmap_table_entry *e = &map[i];

		sorted &= !i || e->addr >= map[i - 1].addr + map[i - 1].size;
		pages &= e->size && !((e->addr | e->size) & (PAGE - 1));
		known &= e->type >= PVH_MEMMAP_RAM && e->type <= PVH_MEMMAP_PMEM;
		zero &= !e->reserved;
		if (e->type == PVH_MEMMAP_RAM)
			ram += e->size;
		put("# map ");
		put_hex(e->addr);
		put(" ");
		put_hex(e->size);
		put(" type ");
		put_number(e->type);
		put("\n");
	}
	put("# ram ");
	put_hex(ram);
	put("\n");
	check(n_entries > 0 && n_entries <= 127, "memory map: 1 to 127 entries");
	check(sorted, "memory map: sorted and disjoint");
	check(pages, "memory map: whole pages, none empty");
	check(known, "memory map: known types");
	check(zero, "memory map: reserved fields are 0");
	check(inside_ram((uint32_t)&entry_state, sizeof(entry_state)), "memory map: we are in RAM");
	check(!inside_ram(0xa0000, 1) && !inside_ram(0xfffff, 1), "memory map: hole below 1 MiB");
	paging_on();
	check(ram_is_there(), "memory map: what it calls RAM is RAM");
	check(ram_ends(), "memory map: RAM ends where it says");
	check_equal(*(volatile uint16_t *)0x40e, 0, "BIOS data area: no EBDA");
	check_equal(*(volatile uint16_t *)0x413, 0, "BIOS data area: no base memory size");
}

/* ---- ACPI ---- */

struct acpi_header {
	char signature[4];
	uint32_t size;
	uint8_t revision, sum;
	char oem[6];
};

static bool table_is_good(const struct acpi_header *table)
{
	put("# acpi ");
	for (int i = 0; i < 4; i++)
		put_char(table->signature[i]);
	put(" ");
	put_number(table->size);
	put("\n");
	return table->size >= 36 && table->size < 0x10000 && !byte_sum(table, table->size) &&
	       !inside_ram((uint32_t)table, 1);
}

static void check_acpi(const struct hvm_start_info *info)
{
	const uint8_t *rsdp = (const uint8_t *)(uint32_t)info->rsdp_paddr;
	const struct acpi_header *rsdt, *xsdt, *fadt;
	bool good = true, same = true;

	check(info->rsdp_paddr && !(info->rsdp_paddr >> 32), "RSDP: there, below 4 GiB");
	check(bytes_equal(rsdp, "RSD PTR ", 8), "RSDP: signature");
	check_equal(byte_sum(rsdp, 20), 0, "RSDP: sum of the old part");
	check_equal(byte_sum(rsdp, 36), 0, "RSDP: sum of the whole");
	check(rsdp[15] >= 2, "RSDP: revision 2 or later");
	xsdt = *(const struct acpi_header *const *)(rsdp + 24);
	check(bytes_equal(xsdt, "XSDT", 4) && table_is_good(xsdt), "XSDT: signature, sum, place");
	for (uint32_t at = 36; at + 8 <= xsdt->size; at += 8)
		good &= table_is_good(
			*(const struct acpi_header *const *)((const uint8_t *)xsdt + at));
	check(good, "every table: size, sum, place");
	/* All that NuttX reads. */
	rsdt = *(const struct acpi_header *const *)(rsdp + 16);
	check(bytes_equal(rsdt, "RSDT", 4) && table_is_good(rsdt), "RSDT: signature, sum, place");
	for (uint32_t i = 0; 36 + 8 * i < xsdt->size; i++)
		same &= read32((uint32_t)rsdt + 36 + 4 * i) == read32((uint32_t)xsdt + 36 + 8 * i);
	check(same && (rsdt->size - 36) * 2 == xsdt->size - 36, "RSDT: the XSDT's tables");
	fadt = acpi_table("FACP");
	check(fadt != NULL, "FADT: there");
	if (fadt)
		check(table_is_good(
			      *(const struct acpi_header *const *)((const uint8_t *)fadt + 140)),
			"DSDT: size, sum, place");
	check(acpi_table("APIC") != NULL, "MADT: there");
}

/* ---- what the operator gave ---- */

static void check_cmdline(const struct hvm_start_info *info)
{
	const char *text = command_line();

	check(info->cmdline_paddr && inside_ram(info->cmdline_paddr, 2048),
		"command line: in RAM, as are 2048 bytes from its start");
	put("# cmdline ");
	put_number(string_size(text));
	put(" ");
	put_hex(checksum(text, string_size(text)));
	put("\n");
}

static void check_modules(const struct hvm_start_info *info)
{
	const struct hvm_modlist_entry *list =
		(const struct hvm_modlist_entry *)(uint32_t)info->modlist_paddr;

	check(!!info->nr_modules == !!info->modlist_paddr,
		"modules: a list if there are any, else none");
	check(info->nr_modules <= 1, "modules: one at most");
	if (!info->nr_modules)
		return;
	check(inside_ram(info->modlist_paddr, sizeof(*list)), "modules: the list is in RAM");
	check(inside_ram(list->paddr, list->size), "module 0 is in RAM");
	check(!((list->paddr + list->size) >> 32), "module 0 is below 4 GiB");
	check_equal(list->paddr & (PAGE - 1), 0, "module 0 starts a page");
	check_equal(list->cmdline_paddr, 0, "module 0 has no command line");
	check_equal(list->reserved, 0, "module 0: the reserved field is 0");
	put("# module ");
	put_number((uint32_t)list->size);
	put(" ");
	put_hex(checksum((const void *)(uint32_t)list->paddr, (uint32_t)list->size));
	put("\n");
}

void guest_main(void)
{
	const struct hvm_start_info *info = start_info();

	check_equal(info->magic, PVH_START_MAGIC, "magic");
	check_equal(info->version, 1, "version");
	check_equal(info->flags, 0, "flags");
	check_equal(info->reserved, 0, "the reserved field is 0");
	check(!(info->memmap_paddr >> 30), "memory map: in the first GiB");
	check(!(info->modlist_paddr >> 30), "module list: in the first GiB");
	map = (const struct hvm_memmap_table_entry *)(uint32_t)info->memmap_paddr;
	n_entries = info->memmap_entries;
	check_cmdline(info);
	check_modules(info);
	check_acpi(info);
	check_map();
	check(inside_ram(entry_state.ebx, sizeof(*info)), "start info: in RAM");
	check(word_is_ram(entry_state.ebx), "start info: can be written");
	checks_done();
}
