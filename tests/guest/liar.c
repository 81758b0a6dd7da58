// SPDX-License-Identifier: MIT
/* liar.c - enter another PVH program with a hand-over that is wrong, or odd, in one point
 *
 * The program is the module; the first word of the command line names the point.  It is loaded to
 * its place and entered as the ABI has it, with the memory map, RSDP and flags that the VMM gave.
 */

#include "guest.h"

#include <linux/elf.h>
#include <pvh/elfnote.h>

#define N_ENTRIES 1100
#define N_MODULES 64
#define ENDLESS   0x18000 /* bytes, more than anybody's patience */
#define TEXT      "told by a liar"
#define UNIT      0x100000u
#define RAM       PVH_MEMMAP_RAM
#define RESERVED  PVH_MEMMAP_RESERVED
#define FAR       0x300000000u /* no RAM, and beyond 32 bits */
#define NOWHERE   0xd0000000u  /* neither RAM nor device */

typedef struct hvm_memmap_table_entry entry_t;

/* What the program finds. */
static struct hvm_start_info info __attribute__((aligned(8)));
static uint8_t shifted[sizeof(info) + 8] __attribute__((aligned(8)));
static struct hvm_modlist_entry modules[N_MODULES];
static entry_t map[N_ENTRIES];
static char text[ENDLESS];

/* The program itself. */
static uint32_t image_start = UINT32_MAX, image_end;

/* What the registers hold at its entry; read by enter(). */
struct door {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp, eflags, eip;
};
extern struct door door;
struct door door = { .ebx = (uint32_t)&info, .eflags = 2 };

static _Noreturn void fail(const char *why)
{
	put("liar: ");
	put(why);
	put_char('\n');
	power_off();
}

static void copy(void *to, const void *from, uint32_t size)
{
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

static void zero(uint32_t at, uint32_t size)
{
	__asm__ volatile("rep stosb" : "+D"(at), "+c"(size) : "a"(0) : "memory");
}

/* ---- the program ---- */

static void load(const uint8_t *file, uint32_t type, uint64_t offset, uint64_t paddr, uint64_t size,
	uint64_t mem_size)
{
	const Elf32_Nhdr *note = (const Elf32_Nhdr *)(file + offset);

	if (type == PT_LOAD) {
		copy((void *)(uint32_t)paddr, file + offset, (uint32_t)size);
		zero((uint32_t)(paddr + size), (uint32_t)(mem_size - size));
		image_start = paddr < image_start ? (uint32_t)paddr : image_start;
		image_end = paddr + mem_size > image_end ? (uint32_t)(paddr + mem_size) : image_end;
	}
	if (type != PT_NOTE)
		return;
	/* Each note: header, name, descriptor, the latter two padded to 4 bytes. */
	while ((const uint8_t *)(note + 1) < file + offset + size) {
		const uint8_t *name = (const uint8_t *)(note + 1);
		const uint8_t *desc = name + ((note->n_namesz + 3) & ~3u);

		if (note->n_type == PVH_ELFNOTE_PHYS32_ENTRY &&
			bytes_equal(name, PVH_ELFNOTE_OWNER, sizeof(PVH_ELFNOTE_OWNER)))
			door.eip = *(const uint32_t *)desc;
		note = (const Elf32_Nhdr *)(desc + ((note->n_descsz + 3) & ~3u));
	}
}

static void load_program(void)
{
	const struct hvm_modlist_entry *list =
		(const struct hvm_modlist_entry *)(uint32_t)start_info()->modlist_paddr;
	const uint8_t *file = (const uint8_t *)(uint32_t)list->paddr;
	const Elf64_Ehdr *elf64 = (const Elf64_Ehdr *)file;
	const Elf32_Ehdr *elf32 = (const Elf32_Ehdr *)file;

	if (!start_info()->nr_modules || !bytes_equal(file, ELFMAG, SELFMAG))
		fail("the module is no ELF file");
	if (file[EI_CLASS] == ELFCLASS64) {
		const Elf64_Phdr *p = (const Elf64_Phdr *)(file + elf64->e_phoff);

		for (uint32_t i = 0; i < elf64->e_phnum; i++)
			load(file, p[i].p_type, p[i].p_offset, p[i].p_paddr, p[i].p_filesz,
				p[i].p_memsz);
	} else {
		const Elf32_Phdr *p = (const Elf32_Phdr *)(file + elf32->e_phoff);

		for (uint32_t i = 0; i < elf32->e_phnum; i++)
			load(file, p[i].p_type, p[i].p_offset, p[i].p_paddr, p[i].p_filesz,
				p[i].p_memsz);
	}
	if (!door.eip)
		fail("the module has no entry");
}

/* ---- the truth ---- */

static void tell_the_truth(void)
{
	const struct hvm_start_info *ours = start_info();

	info = *ours;
	copy(map, (const void *)(uint32_t)ours->memmap_paddr,
		ours->memmap_entries * sizeof(map[0]));
	copy(text, TEXT, sizeof(TEXT));
	info.memmap_paddr = (uint32_t)map;
	info.cmdline_paddr = (uint32_t)text;
	info.modlist_paddr = (uint32_t)modules;
	info.nr_modules = 0;
	for (uint32_t i = 0; i < N_MODULES; i++) {
		modules[i].paddr = (uint32_t)text;
		modules[i].size = 1;
	}
}

/* ---- lies, and oddities ---- */

static void start_info_at(uint32_t addr)
{
	door.ebx = addr;
}

static void start_info_shifted(uint32_t by)
{
	copy(shifted + by, &info, sizeof(info));
	door.ebx = (uint32_t)shifted + by;
}

static void magic(uint32_t value)
{
	info.magic = value;
}

static void version(uint32_t value)
{
	info.version = value;
}

/* Entries of which only the first is about RAM that is there. */
static void map_count(uint32_t n)
{
	uint32_t first = info.memmap_entries;

	for (uint32_t i = first; i < N_ENTRIES; i++)
		map[i] = (entry_t){ FAR + 2ull * UNIT * i, UNIT, RESERVED, 0 };
	info.memmap_entries = n;
}

static void map_one(uint32_t unused)
{
	map[0] = (entry_t){ 0, 2ull * image_end, RAM, 0 };
	info.memmap_entries = 1;
}

static void map_null(uint32_t unused)
{
	info.memmap_paddr = 0;
}

static void map_far(uint32_t unused)
{
	info.memmap_paddr += FAR;
}

static void map_wraps(uint32_t unused)
{
	info.memmap_paddr = -sizeof(entry_t);
}

static void map_type(uint32_t type)
{
	for (uint32_t i = 0; i < info.memmap_entries; i++)
		map[i].type = type;
}

static void map_add(uint64_t addr, uint64_t size, uint32_t type)
{
	map[info.memmap_entries++] = (entry_t){ addr, size, type, 0 };
}

static void map_ram_elsewhere(uint32_t unused)
{
	info.memmap_entries = 0;
	map_add(0, image_start, RAM);
	map_add(image_end, UNIT, RAM);
}

static void map_hole(uint32_t unused)
{
	map_add(image_start + 16, 1, RESERVED);
}

/* Everything that hypervisors did to maps, at once: no order, overlaps, bits of pages, no hole
 * below 1 MiB, and an end beyond the end.
 */
static void map_mess(uint32_t unused)
{
	map_add(image_end + 0x1003, 0x40, PVH_MEMMAP_ACPI);
	map_add(0, UNIT, RAM);
	map_add(image_start, 2 * UNIT, RAM);
	map_add(FAR, 0, RESERVED);
	map_add(image_end + 0x1000, 0x1000, RAM);
	map_add(UINT64_MAX - UNIT, 2 * UNIT, 77);
}

static void modules_count(uint32_t n)
{
	info.nr_modules = n;
}

static void modules_null(uint32_t unused)
{
	info.nr_modules = 1;
	info.modlist_paddr = 0;
}

static void modules_far(uint32_t unused)
{
	info.nr_modules = 1;
	info.modlist_paddr += FAR;
}

static void module(uint64_t addr, uint64_t size)
{
	modules[0].paddr = addr;
	modules[0].size = size;
	info.nr_modules = 1;
}

static void module_over_image(uint32_t unused)
{
	module(image_end - 1, UNIT);
}

static void module_wraps(uint32_t unused)
{
	module(image_end, UINT64_MAX);
}

static void module_null(uint32_t unused)
{
	module(0, UNIT);
}

static void module_high(uint32_t unused)
{
	module(FAR, UNIT);
}

static void module_cmdline_far(uint32_t unused)
{
	modules[0].cmdline_paddr = FAR;
	info.nr_modules = 1;
}

static void cmdline_far(uint32_t unused)
{
	info.cmdline_paddr += FAR;
}

static void cmdline_endless(uint32_t unused)
{
	for (uint32_t i = 0; i < ENDLESS; i++)
		text[i] = 'x';
}

static void cmdline_none(uint32_t unused)
{
	info.cmdline_paddr = 0;
}

static void flags(uint32_t value)
{
	door.eflags |= value;
}

static void registers(uint32_t value)
{
	door = (struct door){ value, door.ebx, ~value, value, ~value, value, ~value, value,
		door.eflags, door.eip };
}

/* No table may be used.  The segments stay as they are until one is loaded. */
static void tables(uint32_t unused)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = { 0, NOWHERE };

	__asm__ volatile("lgdt %0; lidt %0" : : "m"(none));
}

static void nothing(uint32_t unused)
{
}

static const struct {
	const char *name;
	void (*tell)(uint32_t);
	uint32_t argument;
} lies[] = {
	{ "none", nothing, 0 },
	{ "start-info-null", start_info_at, 0 },
	{ "start-info-nowhere", start_info_at, NOWHERE },
	{ "start-info-top", start_info_at, 0xfffffff0 },
	{ "start-info-align-4", start_info_shifted, 4 },
	{ "magic", magic, PVH_START_MAGIC ^ 0x800000 },
	{ "magic-null", magic, 0 },
	{ "version-0", version, 0 },
	{ "version-2", version, 2 },
	{ "version-max", version, UINT32_MAX },
	{ "map-0", map_count, 0 },
	{ "map-1", map_one, 0 },
	{ "map-126", map_count, 126 },
	{ "map-127", map_count, 127 },
	{ "map-128", map_count, 128 },
	{ "map-129", map_count, 129 },
	{ "map-1025", map_count, 1025 },
	{ "map-wraps-32", map_count, 0xaaaaaab },
	{ "map-max", map_count, UINT32_MAX },
	{ "map-null", map_null, 0 },
	{ "map-far", map_far, 0 },
	{ "map-wraps", map_wraps, 0 },
	{ "map-no-ram", map_type, RESERVED },
	{ "map-type-0", map_type, 0 },
	{ "map-ram-elsewhere", map_ram_elsewhere, 0 },
	{ "map-hole", map_hole, 0 },
	{ "map-mess", map_mess, 0 },
	{ "modules-32", modules_count, 32 },
	{ "modules-33", modules_count, 33 },
	{ "modules-max", modules_count, UINT32_MAX },
	{ "modules-null", modules_null, 0 },
	{ "modules-far", modules_far, 0 },
	{ "module-over-image", module_over_image, 0 },
	{ "module-wraps", module_wraps, 0 },
	{ "module-null", module_null, 0 },
	{ "module-high", module_high, 0 },
	{ "module-cmdline-far", module_cmdline_far, 0 },
	{ "cmdline-far", cmdline_far, 0 },
	{ "cmdline-endless", cmdline_endless, 0 },
	{ "cmdline-none", cmdline_none, 0 },
	{ "direction-flag", flags, 0x400 },
	{ "registers", registers, 0xdeadbeef },
	{ "no-tables", tables, 0 },
};

/* No register is free to hold the address: each has its value. */
static _Noreturn void enter(void)
{
	__asm__ volatile("pushl door + 32\n\t"
			 "popfl\n\t"
			 "movl door, %eax\n\t"
			 "movl door + 4, %ebx\n\t"
			 "movl door + 8, %ecx\n\t"
			 "movl door + 12, %edx\n\t"
			 "movl door + 16, %esi\n\t"
			 "movl door + 20, %edi\n\t"
			 "movl door + 24, %ebp\n\t"
			 "movl door + 28, %esp\n\t"
			 "jmp *door + 36");
	__builtin_unreachable();
}

void guest_main(void)
{
	const char *word = command_line();
	uint32_t i, size = 0;

	while (word[size] && word[size] != ' ')
		size++;
	load_program();
	tell_the_truth();
	for (i = 0; i < sizeof(lies) / sizeof(lies[0]); i++)
		if (string_size(lies[i].name) == size && bytes_equal(lies[i].name, word, size))
			break;
	if (i == sizeof(lies) / sizeof(lies[0]))
		fail("no such lie");
	put("liar: ");
	put(lies[i].name);
	put_char('\n');
	lies[i].tell(lies[i].argument);
	enter();
}
