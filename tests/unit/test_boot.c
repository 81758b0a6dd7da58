// SPDX-License-Identifier: MIT
/* test_boot.c - placing and loading a kernel, and what is handed over with it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/boot.h"
#include "boot/layout.h"
#include "boot/place.h"
#include "known_file.h"

#include <elf.h>
#include <errno.h>
#include <pvh/start_info.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE MIB(1)

/* What a test starts from: a kernel of one segment at 16 MiB, its file full of known bytes. */
struct fixture {
	struct guest_mem mem;
	struct image image;
	struct boot_spec spec;
	struct handover handover;
	struct diag diag;
};

static void add_segment(
	struct elf_image *elf, uint64_t gpa, uint64_t offset, uint64_t file_size, uint64_t mem_size)
{
	elf->segment[elf->n_segments++] = (struct elf_segment){
		.offset = offset,
		.file_size = file_size,
		.gpa = gpa,
		.mem_size = mem_size,
		.align = 4096,
		.flags = PF_R | PF_X,
	};
	if (elf->n_segments == 1) {
		elf->start = gpa;
		elf->pvh_entry = (uint32_t)gpa;
	}
	elf->end = gpa + mem_size;
}

static void init_memory(struct fixture *f, uint64_t memory)
{
	memset(f, 0, sizeof(*f));
	assert_int_equal(guest_mem_init(&f->mem, memory), 0);
	f->image.fd = make_file(FILE_SIZE);
	f->image.size = FILE_SIZE;
	f->image.elf.is_64 = true;
	f->image.elf.has_pvh_entry = true;
	f->spec = (struct boot_spec){
		.image = &f->image,
		.initrd_fd = -1,
		.cmdline = "console=ttyS0",
		.n_cpus = 1,
	};
}

static void init(struct fixture *f)
{
	init_memory(f, MIB(64));
	add_segment(&f->image.elf, MIB(16), 4096, KIB(256) + 100, KIB(512));
	f->image.elf.pvh_entry = MIB(16) + 0x40;
}

static void fini(struct fixture *f)
{
	if (f->spec.initrd_fd >= 0)
		close(f->spec.initrd_fd);
	close(f->image.fd);
	guest_mem_fini(&f->mem);
}

static int load(struct fixture *f)
{
	return boot_load(&f->mem, &f->spec, &f->handover, &f->diag);
}

static void assert_refused(struct fixture *f, int err, const char *words)
{
	assert_int_equal(load(f), -err);
	if (!strstr(f->diag.text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, f->diag.text);
	fini(f);
}

/* The segment's file bytes are there, and zeros behind them. */
static void assert_loaded(const struct fixture *f, const struct elf_segment *segment)
{
	gpa_t gpa = place_segment_gpa(segment, f->handover.load_offset);
	const uint8_t *ram = guest_mem_at(&f->mem, gpa, segment->mem_size);

	assert_non_null(ram);
	for (uint64_t i = 0; i < segment->file_size; i++)
		if (ram[i] != file_byte(segment->offset + i))
			fail_msg("wrong byte at %#lx", (unsigned long)(gpa + i));
	for (uint64_t i = segment->file_size; i < segment->mem_size; i++)
		if (ram[i])
			fail_msg("no zero at %#lx", (unsigned long)(gpa + i));
}

static const struct hvm_start_info *start_info(const struct fixture *f)
{
	assert_int_equal(f->handover.start_info, 0x80000);
	return guest_mem_at(&f->mem, f->handover.start_info, sizeof(struct hvm_start_info));
}

/* ---- what is handed over ---- */

static bool has_mptable(const struct fixture *f)
{
	const uint8_t *rom = guest_mem_at(&f->mem, 0xf0000, 0x10000);

	for (uint32_t at = 0; at < 0x10000; at += 16)
		if (!memcmp(rom + at, "_MP_", 4))
			return true;
	return false;
}

/* For all but Linux, which would only say that there is one. */
static void test_mptable(void **state)
{
	static const char *const names[] = { NULL, "NetBSD", "linux", "linuxish" };
	static const bool wanted[] = { true, true, false, true };
	struct fixture f;

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		init(&f);
		f.image.elf.n_notes = names[i] ? 1 : 0;
		f.image.elf.note[0].type = 6;
		if (names[i])
			memcpy(f.image.elf.note[0].desc, names[i], strlen(names[i]) + 1);
		assert_int_equal(load(&f), 0);
		assert_int_equal(has_mptable(&f), wanted[i]);
		fini(&f);
	}
	init(&f);
	f.image.kind.container = IMAGE_BZIMAGE;
	assert_int_equal(load(&f), 0);
	assert_false(has_mptable(&f));
	fini(&f);
}

static uint32_t type_of(const struct memmap *map, gpa_t gpa, uint64_t size)
{
	for (uint32_t i = 0; i < map->n_entries; i++)
		if (range_within(gpa, size, map->entry[i].addr, map->entry[i].size))
			return map->entry[i].type;
	return 0;
}

/* Nothing else comes to lie where the generation ID will be: the guest takes it for no RAM of its
 * own, and a kernel's segment is let in behind the tables alone.
 */
static void test_vmgenid(void **state)
{
	static const uint8_t none[ACPI_VMGENID_SIZE];
	struct fixture f;
	gpa_t gpa;

	init(&f);
	assert_int_equal(load(&f), 0);
	gpa = f.handover.acpi.vmgenid;
	assert_int_equal(type_of(&f.handover.memmap, gpa, sizeof(none)), PVH_MEMMAP_RESERVED);
	assert_true(gpa + sizeof(none) <= f.handover.memmap.tables_end);
	assert_memory_equal(guest_mem_at(&f.mem, gpa, sizeof(none)), none, sizeof(none));
	fini(&f);
}

static void test_handover(void **state)
{
	const struct hvm_memmap_table_entry *map;
	const struct hvm_start_info *info;
	struct fixture f;

	init(&f);
	assert_int_equal(load(&f), 0);
	assert_loaded(&f, &f.image.elf.segment[0]);
	assert_int_equal(f.handover.entry, MIB(16) + 0x40);
	assert_int_equal(f.handover.load_offset, 0);
	assert_int_equal(f.handover.taken.n_modules, 0);

	info = start_info(&f);
	assert_int_equal(info->magic, 0x336ec578);
	assert_int_equal(info->version, 1);
	assert_int_equal(info->flags, 0);
	assert_int_equal(info->nr_modules, 0);
	assert_int_equal(info->modlist_paddr, 0);
	assert_int_equal(info->reserved, 0);
	assert_string_equal(guest_mem_at(&f.mem, info->cmdline_paddr, 14), "console=ttyS0");
	assert_memory_equal(guest_mem_at(&f.mem, info->rsdp_paddr, 8), "RSD PTR ", 8);
	assert_int_equal(info->memmap_entries, f.handover.memmap.n_entries);
	map = guest_mem_at(&f.mem, info->memmap_paddr, info->memmap_entries * sizeof(*map));
	assert_memory_equal(map, f.handover.memmap.entry, info->memmap_entries * sizeof(*map));
	/* A jump to the reset vector writes the reset register. */
	assert_memory_equal(guest_mem_at(&f.mem, 0xffff0, 6), "\xb0\x01\xba\x02\x06\xee", 6);
	/* Where esp points there is RAM for a stack; GDTR points at the segments of the entry. */
	assert_true(memmap_is_ram(&f.handover.memmap, f.handover.stack - 4096, 4096));
	assert_true(f.handover.stack - 4096 >= f.handover.gdt_at + sizeof(f.handover.gdt));
	assert_true(f.handover.stack <= info->cmdline_paddr);
	assert_true(f.handover.gdt_at >= info->memmap_paddr + 127 * sizeof(*map));
	assert_memory_equal(guest_mem_at(&f.mem, f.handover.gdt_at, sizeof(f.handover.gdt)),
		f.handover.gdt, sizeof(f.handover.gdt));
	assert_int_equal(f.handover.gdt[1], 0x00cf9b000000ffff);
	/* The BIOS data area and OSv's scratch space stay clear. */
	for (const uint8_t *p = guest_mem_at(&f.mem, 0, 0x80000), *end = p + 0x80000; p < end; p++)
		assert_int_equal(*p, 0);
	fini(&f);
}

static void test_initrd(void **state)
{
	const struct hvm_modlist_entry *module;
	const struct hvm_start_info *info;
	const uint8_t *ram;
	struct fixture f;

	init(&f);
	f.spec.initrd_fd = make_file(5001);
	f.spec.initrd_size = 5001;
	assert_int_equal(load(&f), 0);
	info = start_info(&f);
	assert_int_equal(info->nr_modules, 1);
	module = guest_mem_at(&f.mem, info->modlist_paddr, sizeof(*module));
	assert_int_equal(module->paddr, MIB(64) - 8192);
	assert_int_equal(module->size, 5001);
	assert_int_equal(module->cmdline_paddr, 0);
	assert_int_equal(module->reserved, 0);
	assert_int_equal(f.handover.taken.module[0].paddr, module->paddr);
	assert_int_equal(f.handover.taken.module[0].size, module->size);
	ram = guest_mem_at(&f.mem, module->paddr, 8192);
	for (size_t i = 0; i < 8192; i++)
		assert_int_equal(ram[i], i < 5001 ? file_byte(i) : 0);
	fini(&f);
}

static void test_initrd_refused(void **state)
{
	struct fixture f;

	init(&f);
	f.spec.initrd_fd = make_file(5001);
	assert_refused(&f, EINVAL, "initrd is empty");

	init(&f);
	f.spec.initrd_fd = make_file(5001);
	f.spec.initrd_size = 5002;
	assert_refused(&f, ENODATA, "became shorter");

	init(&f);
	f.spec.initrd_fd = make_file(1);
	f.spec.initrd_size = MIB(60);
	assert_refused(&f, ENOSPC, "initrd of 60M does not fit beside the kernel's 1M");

	init(&f);
	f.spec.initrd_fd = make_file(1);
	f.spec.initrd_size = UINT64_MAX;
	assert_refused(&f, ENOSPC, "does not fit");
}

/* The initrd goes under a kernel that lies at the top of RAM, and never shares a page with it. */
static void test_initrd_avoids_kernel(void **state)
{
	struct fixture f;

	init_memory(&f, MIB(64));
	add_segment(&f.image.elf, MIB(60) + 0x800, 0, 4096, MIB(4) - 0x800);
	f.spec.initrd_fd = make_file(5000);
	f.spec.initrd_size = 5000;
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.handover.taken.module[0].paddr, MIB(60) - 8192);
	fini(&f);
}

static char *cmdline_of(size_t size)
{
	char *text = malloc(size + 1);

	assert_non_null(text);
	memset(text, 'x', size);
	text[size] = 0;
	return text;
}

static int load_cmdline(size_t size, enum image_container container, const char *guest_os)
{
	char *cmdline = cmdline_of(size);
	struct fixture f;
	int ret;

	init(&f);
	f.spec.cmdline = cmdline;
	f.image.kind.container = container;
	if (guest_os) {
		f.image.elf.n_notes = 1;
		f.image.elf.note[0].type = 6;
		f.image.elf.note[0].desc_size = (uint32_t)strlen(guest_os) + 1;
		memcpy(f.image.elf.note[0].desc, guest_os, strlen(guest_os) + 1);
	}
	ret = load(&f);
	if (!ret)
		assert_string_equal(
			guest_mem_at(&f.mem, start_info(&f)->cmdline_paddr, 1), cmdline);
	else
		assert_non_null(strstr(f.diag.text, "shorten it"));
	fini(&f);
	free(cmdline);
	return ret;
}

static void test_cmdline_limits(void **state)
{
	assert_int_equal(load_cmdline(0, IMAGE_BZIMAGE, NULL), 0);
	assert_int_equal(load_cmdline(2047, IMAGE_BZIMAGE, NULL), 0);
	assert_int_equal(load_cmdline(2048, IMAGE_BZIMAGE, NULL), -E2BIG);
	assert_int_equal(load_cmdline(2048, IMAGE_ELF, "linux"), -E2BIG);
	assert_int_equal(load_cmdline(2048, IMAGE_ELF, "FreeBSD"), 0);
	assert_int_equal(load_cmdline(2048, IMAGE_ELF, NULL), 0);
	assert_int_equal(load_cmdline(65535, IMAGE_ELF, NULL), 0);
	assert_int_equal(load_cmdline(65536, IMAGE_ELF, NULL), -E2BIG);
}

/* ---- loading ---- */

/* Every residue that matters of address, offset and size, from files of both kinds; neighbours
 * share pages.
 */
static void test_contents(void **state)
{
	static const uint64_t head[] = { 0, 1, 0x800, 4095 };
	static const uint64_t size[] = { 1, 4096, KIB(64) - 1, KIB(64), KIB(100) + 7 };

	for (size_t h = 0; h < ARRAY_SIZE(head); h++)
		for (size_t s = 0; s < ARRAY_SIZE(size); s++)
			for (int owned = 0; owned < 2; owned++) {
				uint64_t gpa = MIB(16) + head[h];
				struct elf_image *elf;
				struct fixture f;

				init_memory(&f, MIB(32));
				f.image.owned_file = owned;
				elf = &f.image.elf;
				add_segment(elf, gpa, 8192 + head[h], size[s], size[s] + 10);
				gpa += size[s] + 10;
				add_segment(
					elf, gpa, KIB(256) + gpa % 4096, size[s], size[s] + 9000);
				gpa += size[s] + 9000;
				add_segment(elf, gpa, 4097, size[s], size[s]);
				assert_int_equal(load(&f), 0);
				for (size_t i = 0; i < elf->n_segments; i++)
					assert_loaded(&f, &elf->segment[i]);
				assert_int_equal(*(uint8_t *)guest_mem_at(&f.mem, elf->end, 1), 0);
				fini(&f);
			}
}

static void test_file_cut_meanwhile(void **state)
{
	struct fixture f;

	init(&f);
	assert_int_equal(ftruncate(f.image.fd, KIB(100)), 0);
	assert_refused(&f, ENODATA, "cannot read the kernel's");

	init(&f);
	f.image.owned_file = true;
	f.image.elf.segment[0].file_size = MIB(2);
	f.image.elf.segment[0].mem_size = MIB(2);
	assert_int_equal(ftruncate(f.image.fd, KIB(100)), 0);
	assert_refused(&f, ENODATA, "cannot read the kernel's");
}

static void test_low_segments(void **state)
{
	struct fixture f;

	init_memory(&f, MIB(32));
	add_segment(&f.image.elf, 0x1000, 0, 100, 0x7f000);
	add_segment(&f.image.elf, 0x92000, 0, 100, 0xe000);
	assert_int_equal(load(&f), 0);
	assert_loaded(&f, &f.image.elf.segment[0]);
	fini(&f);
}

/* The bytes, the entry point and the initrd all follow the move. */
static void test_moved(void **state)
{
	struct fixture f;

	init(&f);
	f.image.elf.n_segments = 0;
	add_segment(&f.image.elf, MIB(64), 4096, KIB(100), KIB(512));
	f.image.elf.pvh_entry = MIB(64) + 0x40;
	f.image.elf.has_reloc = true;
	f.image.elf.reloc = (struct elf_reloc){ MIB(2), 0, UINT32_MAX };
	f.spec.initrd_fd = make_file(100);
	f.spec.initrd_size = 100;
	assert_int_equal(load(&f), 0);
	assert_int_equal(f.handover.load_offset, -(int64_t)MIB(2));
	assert_int_equal(f.handover.entry, MIB(62) + 0x40);
	assert_loaded(&f, &f.image.elf.segment[0]);
	assert_int_equal(f.handover.taken.module[0].paddr, MIB(64) - 4096);
	fini(&f);
}

static void test_other_refusals(void **state)
{
	struct fixture f;

	init(&f);
	f.image.elf.has_pvh_entry = false;
	assert_int_equal(load(&f), -ENOEXEC);
	assert_true(f.diag.text[0]);
	fini(&f);

	init(&f);
	f.spec.n_cpus = 256;
	assert_refused(&f, ENOSPC, "256 CPUs");

	init_memory(&f, KIB(900));
	add_segment(&f.image.elf, 0x1000, 0, 1, 1);
	assert_refused(&f, ENOSPC, "give the guest 32M");
}

/* ---- the description ---- */

static char *describe(const struct fixture *f)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);

	assert_non_null(out);
	boot_describe(out, &f->mem, &f->spec, &f->handover);
	fclose(out);
	assert_non_null(text);
	return text;
}

static void assert_says(const char *text, const char *words)
{
	if (!strstr(text, words))
		fail_msg("\"%s\" is not in:\n%s", words, text);
}

/* pvh-shim is what is entered; the kernel for it is module 0, the initrd module 1. */
static void init_shim(struct fixture *f, struct image *kernel)
{
	init(f);
	*kernel = (struct image){
		.fd = make_file(3000),
		.size = 3000,
		.kind = {
			.container = IMAGE_BZIMAGE,
			.room_start = MIB(16),
			.room_end = MIB(40),
		},
	};
	f->spec.kernel = kernel;
}

static void test_shim(void **state)
{
	const struct hvm_modlist_entry *module;
	const struct hvm_start_info *info;
	struct image kernel;
	struct fixture f;
	const uint8_t *ram;
	char *text;

	init_shim(&f, &kernel);
	f.spec.initrd_fd = make_file(5001);
	f.spec.initrd_size = 5001;
	assert_int_equal(load(&f), 0);
	info = start_info(&f);
	assert_int_equal(info->nr_modules, 2);
	module = guest_mem_at(&f.mem, info->modlist_paddr, 2 * sizeof(*module));
	assert_int_equal(module[0].paddr, MIB(64) - 4096);
	assert_int_equal(module[0].size, 3000);
	assert_int_equal(module[1].paddr, MIB(64) - 4096 - 8192);
	assert_int_equal(module[1].size, 5001);
	ram = guest_mem_at(&f.mem, module[0].paddr, 3000);
	for (size_t i = 0; i < 3000; i++)
		assert_int_equal(ram[i], file_byte(i));
	text = describe(&f);
	assert_says(text, "kernel: bzImage\nthrough: pvh-shim\nentry: 0x1000040\n");
	assert_says(text, "modules: 2\n  0x0003fff000-0x0003fffbb7  kernel, 3000 bytes\n"
			  "  0x0003ffd000-0x0003ffe388  initrd, 5001 bytes\n");
	free(text);
	close(kernel.fd);
	fini(&f);
}

static void test_shim_refused(void **state)
{
	char cmdline[2049];
	struct image kernel;
	struct fixture f;

	init_shim(&f, &kernel);
	kernel.kind.room_end = MIB(64) + 1;
	assert_refused(&f, ENOSPC,
		"the kernel unpacks itself to 48M from 0x1000000 on, and not all of that is RAM: "
		"give the guest 65M of memory or more");
	init_shim(&f, &kernel);
	kernel.size = MIB(62);
	assert_refused(&f, ENOSPC, "the kernel of 62M does not fit beside");
	init_shim(&f, &kernel);
	kernel.size = 3001;
	assert_refused(&f, ENODATA, "the kernel became shorter than its 3001 bytes");
	/* Whatever pvh-shim boots is Linux. */
	memset(cmdline, 'x', sizeof(cmdline));
	cmdline[2048] = '\0';
	init_shim(&f, &kernel);
	f.spec.cmdline = cmdline;
	assert_refused(&f, E2BIG, "2048 bytes and Linux takes 2047");
}

static void test_describe(void **state)
{
	struct fixture f;
	char *text;

	init(&f);
	f.spec.cmdline = "a=1 \x1b[2J\nFACP @ 0x1";
	f.spec.initrd_fd = make_file(5001);
	f.spec.initrd_size = 5001;
	assert_int_equal(load(&f), 0);
	text = describe(&f);
	assert_says(text, "entry: 0x1000040\n");
	assert_says(text,
		"0x0001000000-0x000107ffff  r-x  file offset 0x1000, mapped 0, read 262244, "
		"zero 262044\n");
	assert_says(text, "0x0000100000-0x0003ffffff  RAM, 63M\n");
	assert_says(text, "  magic           0x336ec578\n");
	assert_says(text, "  modlist_paddr   0x80040\n");
	assert_says(text, "0x0003ffe000-0x0003fff388  initrd, 5001 bytes\n");
	assert_says(text, "\n  a=1 \\x1b[2J\\x0aFACP @ 0x1\n");
	assert_says(text, "\nRSDP @ 0x00000000000F0000\n    0000: 52 53 44 20 50 54 52 20 ");
	assert_says(text, "  RSD PTR ");
	free(text);

	/* Read back, not remembered. */
	*(uint8_t *)guest_mem_at(&f.mem, 0x80004, 1) = 9;
	text = describe(&f);
	assert_says(text, "  version         9\n");
	free(text);
	fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_handover),
		cmocka_unit_test(test_mptable),
		cmocka_unit_test(test_vmgenid),
		cmocka_unit_test(test_initrd),
		cmocka_unit_test(test_initrd_refused),
		cmocka_unit_test(test_shim),
		cmocka_unit_test(test_shim_refused),
		cmocka_unit_test(test_initrd_avoids_kernel),
		cmocka_unit_test(test_cmdline_limits),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_file_cut_meanwhile),
		cmocka_unit_test(test_low_segments),
		cmocka_unit_test(test_moved),
		cmocka_unit_test(test_other_refusals),
		cmocka_unit_test(test_describe),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
