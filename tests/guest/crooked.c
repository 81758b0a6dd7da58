// SPDX-License-Identifier: MIT
/* crooked.c - enter pvh-check with one thing wrong
 *
 * pvh-check.elf is the module.  It is loaded to its place and entered in the state that it expects,
 * but for what the command line's lie=NAME says.  What pvh-check is told lies in this program's
 * memory, or in that of the VMM's own tables, which are spoilt where they are.
 */

#include "crooked.h"
#include "guest.h"

/* lib.c's */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

#define N_ENTRIES 160

/* What pvh-check finds. */
struct hvm_start_info info;
static struct hvm_modlist_entry modules[2];
static struct hvm_memmap_table_entry map[N_ENTRIES];
static char text[4096];
static uint8_t image_tail; /* what stands in pvh-check's .bss */

static struct {
	uint32_t ebx, cr0, cr4, eflags;
	uint64_t ds, es, ss; /* descriptors */
	uint64_t tss;
} state = {
	.ebx = (uint32_t)&info,
	.cr0 = 0x11,
	.eflags = 2,
	.ds = 0x00cf93000000ffff,
	.es = 0x00cf93000000ffff,
	.ss = 0x00cf93000000ffff,
};

/* ---- lies about the processor ---- */

#define FLAT_LIMIT_1M 0x004f93000000ffffull /* 4 GiB with a granularity of bytes: 1 MiB */
#define FLAT_BASE_16  0x00cf93000010ffffull
#define FLAT_16_BIT   0x008f93000000ffffull
#define READ_ONLY     0x00cf91000000ffffull

static void lie_cr0(void)
{
	state.cr0 |= 0x2; /* MP */
}

static void lie_cr4(void)
{
	state.cr4 = 0x200; /* OSFXSR */
}

static void lie_if(void)
{
	state.eflags |= 0x200;
}

static void lie_ds_limit(void)
{
	state.ds = FLAT_LIMIT_1M;
}

static void lie_ds_base(void)
{
	state.ds = FLAT_BASE_16;
}

static void lie_es_limit(void)
{
	state.es = FLAT_LIMIT_1M;
}

static void lie_es_base(void)
{
	state.es = FLAT_BASE_16;
}

static void lie_es_read_only(void)
{
	state.es = READ_ONLY;
}

static void lie_ss_limit(void)
{
	state.ss = FLAT_LIMIT_1M;
}

static void lie_ss_16(void)
{
	state.ss = FLAT_16_BIT;
}

/* A TSS at 0x8000, and not at 0. */
static void lie_tss(void)
{
	state.tss = 0x0000890080000067;
	*(volatile uint32_t *)0x8004 = 0x7000;
	*(volatile uint32_t *)0x8008 = KERNEL_DS;
}

static void lie_efer(void)
{
	write_msr(0xc0000080, 1); /* SCE */
}

static void lie_mtrr(void)
{
	write_msr(0x2ff, 0x800); /* on, uncacheable */
}

static void lie_apic_off(void)
{
	write_msr(0x1b, read_msr(0x1b) & ~0x800ull);
}

/* An interrupt to itself, which waits. */
static void lie_apic_pending(void)
{
	lapic_enable();
	write32(LAPIC + 0x310, lapic_id() << 24);
	write32(LAPIC + 0x300, 0x40000 | 0x4000 | 0x80);
}

static void lie_bss(void)
{
	image_tail = 0xa5;
}

/* ---- about the start info ---- */

static void lie_magic(void)
{
	info.magic ^= 0x8000;
}

static void lie_ebx_zero(void)
{
	state.ebx = 0;
}

static void lie_ebx_nowhere(void)
{
	state.ebx = 0xd8000000;
}

static void lie_ebx_top(void)
{
	state.ebx = 0xfffffff0;
}

static void lie_version(void)
{
	info.version = 0;
}

static void lie_reserved(void)
{
	info.reserved = 1;
}

static void lie_pointer_4g(void)
{
	info.cmdline_paddr = 4ull << 30;
}

static void lie_map_1g(void)
{
	info.memmap_paddr = 0xd8000000;
}

static void lie_cmdline_1g(void)
{
	info.cmdline_paddr = 0xd8000000;
}

static void lie_overlap(void)
{
	info.cmdline_paddr = (uint32_t)&map[0];
}

static void lie_over_image(void)
{
	modules[0].paddr = 0x201000;
}

static void lie_not_ram(void)
{
	info.cmdline_paddr = 0x40e;
	map[0].addr = 0x1000;
	map[0].size -= 0x1000;
}

static void lie_low(void)
{
	*(struct hvm_start_info *)0x3000 = info;
	state.ebx = 0x3000;
}

static void lie_cmdline_end(void)
{
	info.cmdline_paddr = 0xffff8000;
}

static void lie_cmdline_ascii(void)
{
	text[0] = (char)0xe4;
}

static void lie_cmdline_cut(void)
{
	text[string_size(text) - 1] = 0;
}

static void lie_cmdline_byte(void)
{
	text[string_size(text) - 2] ^= 1;
}

/* ---- modules ---- */

static void lie_no_list(void)
{
	info.modlist_paddr = 0;
}

static void lie_no_module(void)
{
	info.nr_modules = 0;
	info.modlist_paddr = 0;
}

static void lie_list_without(void)
{
	info.nr_modules = 0;
}

static void lie_many_modules(void)
{
	info.nr_modules = 0xffffffff;
}

static void lie_module_reserved(void)
{
	modules[0].reserved = 1ull << 40;
}

static void lie_module_wraps(void)
{
	modules[0].size = -(uint64_t)modules[0].paddr;
}

static void lie_module_text(void)
{
	modules[0].cmdline_paddr = 0xffff8000;
}

static void lie_module_byte(void)
{
	*(uint8_t *)(uint32_t)modules[0].paddr ^= 1;
}

/* ---- the map ---- */

static void add_entry(uint64_t addr, uint64_t size, uint32_t type)
{
	map[info.memmap_entries++] = (struct hvm_memmap_table_entry){ addr, size, type, 0 };
}

static void lie_no_map(void)
{
	info.memmap_entries = 0;
}

/* What lies at 0 would do for a map: 4 GiB of RAM. */
static void lie_map_pointer(void)
{
	info.memmap_paddr = 0;
	write32(12, 1); /* the upper half of the size */
	write32(16, PVH_MEMMAP_RAM);
}

static void lie_map_count(void)
{
	info.memmap_entries = 0xffffffff;
}

static void lie_map_reserved(void)
{
	map[1].reserved = 1;
}

static void lie_map_type(void)
{
	map[1].type = 9;
}

static void lie_map_wraps(void)
{
	add_entry(0xfffffffffffff000, 0x2000, PVH_MEMMAP_RESERVED);
}

static void lie_map_no_ram(void)
{
	for (uint32_t i = 0; i < info.memmap_entries; i++)
		map[i].type = PVH_MEMMAP_RESERVED;
}

/* The gap is where pvh-check is. */
static void lie_map_image(void)
{
	map[2].addr = 0x400000;
	map[2].size -= 0x300000;
}

static void lie_map_unsorted(void)
{
	struct hvm_memmap_table_entry first = map[0];

	map[0] = map[1];
	map[1] = first;
}

static void lie_map_overlap(void)
{
	add_entry(map[info.memmap_entries - 1].addr, 0x1000, PVH_MEMMAP_RESERVED);
}

static void lie_map_long(void)
{
	while (info.memmap_entries < 128)
		add_entry(0xff000000 + 0x1000 * info.memmap_entries, 0x1000, PVH_MEMMAP_RESERVED);
}

static void lie_map_page_1(void)
{
	map[0].addr = 0x2000;
	map[0].size -= 0x2000;
}

static void lie_map_no_low(void)
{
	map[0].type = PVH_MEMMAP_RESERVED;
}

static void lie_bios_area(void)
{
	*(volatile uint16_t *)0x413 = 636;
}

static void lie_ram_low(void)
{
	add_entry(0xff000000, 0x100000, PVH_MEMMAP_RAM);
}

static void lie_ram_high(void)
{
	add_entry(8ull << 30, 1ull << 30, PVH_MEMMAP_RAM);
}

static void lie_ram_beyond(void)
{
	add_entry(1ull << 60, 0x1000, PVH_MEMMAP_RAM);
}

static void lie_tables_in_ram(void)
{
	map[1].type = PVH_MEMMAP_RAM;
}

/* ---- what is unusual, and no lie ---- */

static void lie_none(void)
{
}

/* At the first address that is not too low. */
static void lie_not_low(void)
{
	*(struct hvm_start_info *)0x7c00 = info;
	state.ebx = 0x7c00;
}

static const struct lie lies[] = { LIE(cr0), LIE(cr4), LIE(if), LIE(ds_limit), LIE(ds_base),
	LIE(es_limit), LIE(es_base), LIE(es_read_only), LIE(ss_limit), LIE(ss_16), LIE(tss),
	LIE(efer), LIE(mtrr), LIE(apic_off), LIE(apic_pending), LIE(bss), LIE(magic), LIE(ebx_zero),
	LIE(ebx_nowhere), LIE(ebx_top), LIE(version), LIE(reserved), LIE(pointer_4g), LIE(map_1g),
	LIE(cmdline_1g), LIE(overlap), LIE(over_image), LIE(not_ram), LIE(low), LIE(cmdline_end),
	LIE(cmdline_ascii), LIE(cmdline_cut), LIE(cmdline_byte), LIE(no_list), LIE(no_module),
	LIE(list_without), LIE(many_modules), LIE(module_reserved), LIE(module_wraps),
	LIE(module_text), LIE(module_byte), LIE(no_map), LIE(map_pointer), LIE(map_count),
	LIE(map_reserved), LIE(map_type), LIE(map_wraps), LIE(map_no_ram), LIE(map_image),
	LIE(map_unsorted), LIE(map_overlap), LIE(map_long), LIE(map_page_1), LIE(map_no_low),
	LIE(bios_area), LIE(ram_low), LIE(ram_high), LIE(ram_beyond), LIE(tables_in_ram), LIE(none),
	LIE(not_low), { 0 } };

/* ---- the way in ---- */

/* ELF64: the system's header is not there for 32-bit code. */
static uint32_t word(const uint8_t *elf, uint32_t at)
{
	return *(const uint32_t *)(elf + at);
}

static uint32_t elf_entry(const uint8_t *elf)
{
	return word(elf, 24);
}

static void load(const uint8_t *elf)
{
	uint32_t segment = word(elf, 32);

	for (uint32_t n = word(elf, 56) & 0xffff; n; n--, segment += 56) {
		uint32_t offset = word(elf, segment + 8), file_size = word(elf, segment + 32);
		uint8_t *to = (uint8_t *)word(elf, segment + 24);

		if (word(elf, segment) != 1) /* PT_LOAD */
			continue;
		for (uint32_t at = 0; at < file_size; at += 4)
			*(uint32_t *)(to + at) = word(elf, offset + at);
		/* RAM begins as zeros. */
		if (image_tail)
			memset(to + file_size, image_tail, word(elf, segment + 40) - file_size);
	}
}

/* ds comes last: from there on nothing is read from memory. */
static _Noreturn void enter(uint32_t entry)
{
	static uint64_t gdt[] = { 0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0, 0, 0, 0 };
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = { sizeof(gdt) - 1, (uint32_t)gdt };

	gdt[3] = state.ds;
	gdt[4] = state.es;
	gdt[5] = state.ss;
	gdt[6] = state.tss;
	__asm__ volatile("lgdt %0" : : "m"(pointer));
	if (state.tss)
		__asm__ volatile("ltr %w0" : : "r"(6 * 8));
	__asm__ volatile("movl %0, %%cr4; pushl %1; popfl; movl %2, %%cr0; movl %3, %%es;"
			 "movl %4, %%ss; movl %5, %%ds; jmp *%%edi"
			 :
			 : "a"(state.cr4), "m"(state.eflags), "c"(state.cr0), "d"(4 * 8),
			 "S"(5 * 8), "r"(3 * 8), "b"(state.ebx), "D"(entry)
			 : "memory");
	__builtin_unreachable();
}

static void copy_handover(void)
{
	const char *from = command_line();
	uint32_t size = string_size(from);

	info = *start_info();
	memcpy(map, (const void *)(uint32_t)info.memmap_paddr,
		info.memmap_entries * sizeof(map[0]));
	memcpy(modules, (const void *)(uint32_t)info.modlist_paddr, sizeof(modules[0]));
	memcpy(text, from, size < sizeof(text) ? size + 1 : 0);
	info.memmap_paddr = (uint32_t)map;
	info.modlist_paddr = (uint32_t)modules;
	info.cmdline_paddr = (uint32_t)text;
}

/* NULL: there is none of this name, which ends at a blank. */
static const struct lie *find(const struct lie *lie, const char *name)
{
	uint32_t size = 0;

	while (name[size] && name[size] != ' ')
		size++;
	for (; lie->name; lie++)
		if (string_size(lie->name) == size && bytes_equal(lie->name, name, size))
			return lie;
	return NULL;
}

void guest_main(void)
{
	const char *name = command_line() + 4; /* behind lie= */
	const struct lie *lie = find(lies, name);
	const uint8_t *elf;

	if (!lie)
		lie = find(acpi_lies, name);
	if (!lie) {
		put("no such lie\n");
		return;
	}
	copy_handover();
	elf = (const uint8_t *)(uint32_t)modules[0].paddr;
	/* Loaded before the lie is told, which may spoil the module; the tail after it. */
	load(elf);
	lie->tell();
	if (image_tail)
		load(elf);
	enter(elf_entry(elf));
}
