// SPDX-License-Identifier: MIT
/* test_elf.c - what is read from sound ELF kernels; the bad ones are in test_image.c */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/image.h"
#include "image/window.h"
#include "kernels.h"
#include "pvh/elfnote.h"

#include <elf.h>
#include <sys/mman.h>

#define BASE 0x100000

static const char *const names[] = { "elf32-entry-4", "elf64-entry-8", "elf-dyn",
	"elf-unsorted-segments", "elf-reloc-0", "elf-reloc-1", "elf-reloc-2", "elf-reloc-3",
	"elf-note-after-others", "elf-note-8-aligned", "elf-note-8-aligned-cut",
	"elf-note-8-aligned-damaged", "elf-note-8-aligned-late", "elf-note-4-aligned-damaged",
	"elf-note-4-aligned-as-if-8", "elf-other-notes-8-aligned", "elf-other-notes-4-aligned",
	"elf-first-entry-wins", "elf-malformed-entry-first", "elf64-no-note",
	"elf-damaged-note-elsewhere", "elf-64-segments", "elf-empty-segment", "elf-entry-far",
	"elf32-section-note", NULL };

static struct elf_image parse(const char *name)
{
	struct elf_image elf;
	struct diag diag = { "" };
	uint64_t size;
	int fd = kernels_open(name, &size);

	assert_true(fd >= 0);
	if (image_read_elf(&elf, fd, size, &diag))
		fail_msg("%s: %s", name, diag.text);
	close(fd);
	return elf;
}

static void test_class_32(void **state)
{
	struct elf_image elf = parse("elf32-entry-4");

	assert_false(elf.is_64);
	assert_true(elf.has_pvh_entry);
	assert_int_equal(elf.pvh_entry, BASE);
	assert_int_equal(elf.elf_entry, BASE);
	assert_false(elf.has_reloc);
	assert_int_equal(elf.n_notes, 1);
	assert_int_equal(elf.note[0].desc_size, 4);
	assert_int_equal(parse("elf32-section-note").pvh_entry, BASE);
}

static void test_class_64(void **state)
{
	struct elf_image elf = parse("elf64-entry-8");

	assert_true(elf.is_64);
	assert_int_equal(elf.pvh_entry, BASE);
	assert_int_equal(elf.n_segments, 1);
	assert_int_equal(elf.segment[0].gpa, BASE);
	assert_int_equal(elf.segment[0].mem_size, elf.segment[0].file_size + 16);
	assert_int_equal(elf.segment[0].flags, PF_R | PF_W | PF_X);
	assert_int_equal(elf.start, BASE);
	assert_int_equal(elf.end, BASE + elf.segment[0].mem_size);
	assert_null(elf.note_fault);
	assert_int_equal(parse("elf-dyn").n_segments, 1);
}

static void test_segments(void **state)
{
	struct elf_image elf = parse("elf-unsorted-segments");

	assert_int_equal(elf.n_segments, 2);
	assert_int_equal(elf.segment[0].gpa, BASE);
	assert_int_equal(elf.segment[1].gpa, BASE + 0x3000);
	assert_int_equal(elf.segment[1].file_size, 1);
	assert_int_equal(elf.end, BASE + 0x3000 + 17);
	assert_int_equal(parse("elf-64-segments").n_segments, 64);
	elf = parse("elf-empty-segment");
	assert_int_equal(elf.n_segments, 1);
	assert_int_equal(elf.start, BASE);
}

static void check_reloc(const char *name, uint64_t align, uint64_t min, uint64_t max)
{
	struct elf_image elf = parse(name);

	assert_true(elf.has_reloc);
	assert_int_equal(elf.reloc.align, align);
	assert_int_equal(elf.reloc.min, min);
	assert_int_equal(elf.reloc.max, max);
}

static void test_reloc(void **state)
{
	check_reloc("elf-reloc-0", 0x1000, 0, UINT32_MAX);
	check_reloc("elf-reloc-1", 0x1000, 0, UINT32_MAX);
	check_reloc("elf-reloc-2", 0x1000, BASE, UINT32_MAX);
	check_reloc("elf-reloc-3", 0x1000, BASE, 0x3fffffff);
}

static void test_notes(void **state)
{
	struct elf_image elf = parse("elf-note-after-others");

	assert_int_equal(elf.n_notes, 2); /* GNU's do not count */
	assert_int_equal(elf.note[0].type, 6);
	assert_memory_equal(elf.note[0].desc, "linux", sizeof("linux"));
	assert_int_equal(elf.note[1].type, 18);
	elf = parse("elf-first-entry-wins");
	assert_int_equal(elf.n_notes, 2);
	assert_int_equal(elf.pvh_entry, BASE);
	assert_int_equal(parse("elf-malformed-entry-first").pvh_entry, BASE);
	elf = parse("elf-damaged-note-elsewhere");
	assert_int_equal(elf.pvh_entry, BASE);
	assert_non_null(elf.note_fault);
}

/* Padded to 4 or to 8 bytes: of two walks the one that finds something is taken, then the one that
 * comes out right, then the one by 4.
 */
static void test_padding(void **)
{
	static const struct {
		const char *name;
		size_t n_notes;
		bool fault;
	} row[] = {
		{ "elf-note-8-aligned", 1, false },
		{ "elf-note-8-aligned-cut", 1, false },
		{ "elf-note-8-aligned-damaged", 1, true },
		{ "elf-note-8-aligned-late", 2, false },
		{ "elf-note-4-aligned-damaged", 2, true },
		{ "elf-note-4-aligned-as-if-8", 1, true },
		{ "elf-other-notes-8-aligned", 0, false },
		{ "elf-other-notes-4-aligned", 0, false },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct elf_image elf = parse(row[i].name);

		assert_int_equal(elf.n_notes, row[i].n_notes);
		assert_int_equal(elf.note_fault != NULL, row[i].fault);
		assert_int_equal(elf.has_pvh_entry, row[i].n_notes > 0);
		assert_int_equal(elf.pvh_entry, row[i].n_notes ? BASE : 0);
	}
}

static void test_require_entry(void **state)
{
	struct elf_image elf = parse("elf64-no-note");
	struct diag diag = { "" };

	assert_false(elf.has_pvh_entry);
	assert_int_equal(elf_require_pvh_entry(&elf, &diag), -ENOEXEC);
	assert_non_null(strstr(diag.text, "no PVH entry"));
	elf = parse("elf-entry-far");
	assert_true(elf.has_pvh_entry);
	assert_int_equal(elf_require_pvh_entry(&elf, &diag), -ENOEXEC);
	assert_non_null(strstr(diag.text, "0xfffffff0"));
	elf = parse("elf64-entry-8");
	assert_int_equal(elf_require_pvh_entry(&elf, &diag), 0);
}

/* One that is damaged, or may be behind what is damaged, is no reason to go by the shim. */
static void test_lacks_entry(void **state)
{
	struct elf_image elf = { .has_pvh_entry = false };

	assert_true(elf_lacks_pvh_entry(&elf));
	elf.note_fault = "a fault";
	assert_false(elf_lacks_pvh_entry(&elf));
	elf.note_fault = NULL;
	elf.n_notes = 1;
	assert_true(elf_lacks_pvh_entry(&elf));
	elf.note[0].type = PVH_ELFNOTE_PHYS32_ENTRY;
	assert_false(elf_lacks_pvh_entry(&elf));
	elf.has_pvh_entry = true;
	assert_false(elf_lacks_pvh_entry(&elf));
}

/* The file is shorter than it was when its size was asked for. */
static void test_cut_meanwhile(void **state)
{
	struct elf_image elf;
	struct diag diag = { "" };
	uint64_t size;
	int fd = kernels_open("elf64-entry-8", &size);

	assert_int_equal(image_read_elf(&elf, fd, size + 4096, &diag), 0);
	close(fd);
	assert_int_equal(truncate(kernels_path("elf64-entry-8"), 70), 0);
	fd = kernels_open("elf64-entry-8", &size);
	assert_int_equal(image_read_elf(&elf, fd, 4096, &diag), -ENOEXEC);
	close(fd);
}

static void test_read_error(void **state)
{
	struct file_window window;
	struct elf_image elf;
	struct diag diag = { "" };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_int_equal(image_read_elf(&elf, fd, 4096, &diag), -EISDIR);
	file_window_init(&window, fd, 4096);
	for (int i = 0; i < 2; i++) /* not a byte was read, however often it is asked for */
		assert_null(file_window_at(&window, 0, 1));
	assert_int_equal(window.err, -EISDIR);
	close(fd);
}

/* ---- where code is ---- */

#define N_HEADERS 40
#define FILE_SIZE (2100 * sizeof(Elf64_Shdr))

struct kernel {
	Elf64_Ehdr header;
	Elf64_Phdr segment[2];
	Elf64_Shdr section[N_HEADERS];
};

/* Two segments, the first of them code; n sections, all of them data. */
static struct kernel make_kernel(Elf64_Half n)
{
	struct kernel kernel = {
		.header = {
			.e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			.e_type = ET_EXEC,
			.e_machine = EM_X86_64,
			.e_version = EV_CURRENT,
			.e_phoff = offsetof(struct kernel, segment),
			.e_phentsize = sizeof(Elf64_Phdr),
			.e_phnum = 2,
			.e_shoff = offsetof(struct kernel, section),
			.e_shentsize = sizeof(Elf64_Shdr),
			.e_shnum = n,
		},
	};

	for (unsigned int i = 0; i < 2; i++)
		kernel.segment[i] = (Elf64_Phdr){ .p_type = PT_LOAD,
			.p_flags = i ? PF_R : PF_R | PF_X,
			.p_offset = 1024 * i,
			.p_paddr = BASE + 4096 * i,
			.p_filesz = 1000,
			.p_memsz = 1000 };
	for (unsigned int i = 0; i < n; i++)
		kernel.section[i] = (Elf64_Shdr){ .sh_type = SHT_PROGBITS,
			.sh_flags = SHF_ALLOC,
			.sh_offset = 64 * i,
			.sh_size = 10 };
	return kernel;
}

static struct elf_image parse_kernel(const struct kernel *kernel)
{
	struct elf_image elf;
	struct diag diag = { "" };
	int fd = memfd_create("kernel", MFD_CLOEXEC);

	assert_int_equal(write(fd, kernel, sizeof(*kernel)), sizeof(*kernel));
	assert_int_equal(ftruncate(fd, FILE_SIZE), 0);
	if (image_read_elf(&elf, fd, FILE_SIZE, &diag))
		fail_msg("%s", diag.text);
	close(fd);
	return elf;
}

static void test_code_by_sections(void **state)
{
	struct kernel kernel = make_kernel(3);
	struct elf_image elf;

	kernel.section[1].sh_flags |= SHF_EXECINSTR;
	kernel.section[2].sh_flags |= SHF_EXECINSTR;
	kernel.section[2].sh_type = SHT_NOBITS;
	elf = parse_kernel(&kernel);
	assert_int_equal(elf.n_code, 1);
	assert_false(elf_has_code(&elf, 0, 64));
	assert_true(elf_has_code(&elf, 0, 65));
	assert_true(elf_has_code(&elf, 73, 1));
	assert_false(elf_has_code(&elf, 74, 4000));
	assert_true(elf_has_code(&elf, 70, 1));
}

static void assert_by_segments(const struct kernel *kernel)
{
	struct elf_image elf = parse_kernel(kernel);

	assert_int_equal(elf.n_code, 1);
	assert_int_equal(elf.code[0].offset, 0);
	assert_int_equal(elf.code[0].size, 1000);
}

/* Headers that are missing, name no code, or make no sense. */
static void test_code_by_segments(void **state)
{
	struct kernel kernel = make_kernel(0);

	assert_by_segments(&kernel);
	kernel = make_kernel(3);
	assert_by_segments(&kernel);
	kernel.section[0].sh_flags |= SHF_EXECINSTR;
	assert_int_equal(parse_kernel(&kernel).code[0].size, 10);
	kernel.header.e_shentsize++;
	assert_by_segments(&kernel);
	kernel.header.e_shentsize--;
	kernel.header.e_shnum = 2000;
	assert_by_segments(&kernel);
	kernel.header.e_shnum = 3;
	kernel.section[1].sh_flags |= SHF_EXECINSTR;
	kernel.section[1].sh_offset = FILE_SIZE - 9;
	assert_by_segments(&kernel);
	kernel.section[1].sh_offset = 64;
	kernel.section[2].sh_flags |= SHF_EXECINSTR;
	kernel.section[2].sh_offset = UINT64_MAX - 4;
	assert_by_segments(&kernel);
	kernel.header.e_shoff = UINT64_MAX - 4;
	assert_by_segments(&kernel);
}

/* More code than there is room for: what is between counts as code, too. */
static void test_code_in_many_sections(void **state)
{
	struct kernel kernel = make_kernel(N_HEADERS);
	struct elf_image elf;

	for (unsigned int i = 0; i < N_HEADERS; i += 2)
		kernel.section[i].sh_flags |= SHF_EXECINSTR;
	kernel.section[N_HEADERS - 2].sh_offset = 64 * 21;
	elf = parse_kernel(&kernel);
	assert_int_equal(elf.n_code, ELF_MAX_CODE);
	for (unsigned int i = 0; i < N_HEADERS - 2; i += 2)
		assert_true(elf_has_code(&elf, 64 * i, 10));
	for (unsigned int i = 1; i < 21; i += 2)
		assert_false(elf_has_code(&elf, 64 * i, 10));
	assert_true(elf_has_code(&elf, 64 * 21, 10));
	assert_true(elf_has_code(&elf, 64 * 33, 10));
	assert_false(elf_has_code(&elf, 64 * (N_HEADERS - 3), 10));
}

static int setup(void **state)
{
	return kernels_make(names);
}

static int teardown(void **state)
{
	return kernels_remove();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_class_32), cmocka_unit_test(test_class_64),
		cmocka_unit_test(test_segments), cmocka_unit_test(test_reloc),
		cmocka_unit_test(test_notes), cmocka_unit_test(test_padding),
		cmocka_unit_test(test_require_entry), cmocka_unit_test(test_code_by_sections),
		cmocka_unit_test(test_lacks_entry), cmocka_unit_test(test_code_by_segments),
		cmocka_unit_test(test_code_in_many_sections), cmocka_unit_test(test_read_error),
		cmocka_unit_test(test_cut_meanwhile), /* last: it cuts a file */
	};

	return cmocka_run_group_tests_name("elf", tests, setup, teardown);
}
