// SPDX-License-Identifier: MIT
/* test_place.c - where kernel and initrd go, and the reasons when they go nowhere */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/layout.h"
#include "boot/place.h"

#include <errno.h>
#include <string.h>

#define TABLES_END (LAYOUT_ACPI + 0x1234)

/* No memory is needed to decide. */
static struct memmap map_of(uint64_t memory)
{
	struct memmap map;

	memmap_build(&map, memory, TABLES_END);
	return map;
}

static void add_segment(struct elf_image *elf, uint64_t gpa, uint64_t size)
{
	elf->segment[elf->n_segments++] = (struct elf_segment){ .gpa = gpa, .mem_size = size };
	if (elf->n_segments == 1)
		elf->start = gpa;
	elf->end = gpa + size;
}

static void assert_diag(const struct diag *diag, const char *words)
{
	if (!strstr(diag->text, words))
		fail_msg("\"%s\" is not in \"%s\"", words, diag->text);
}

static void refuse_at(int err, uint64_t memory, uint64_t gpa, uint64_t size, const char *words)
{
	struct memmap map = map_of(memory);
	struct elf_image elf = { 0 };
	struct diag diag = { "" };
	int64_t offset;

	add_segment(&elf, gpa, size);
	assert_int_equal(place_kernel(&map, &elf, &offset, &diag), -err);
	assert_diag(&diag, words);
}

/* ENOSPC where more memory would help. */
static void test_misplaced(void **state)
{
	refuse_at(ENOSPC, MIB(32), MIB(16), MIB(17),
		"the kernel's segment [0x1000000, 0x2100000) lies outside the guest's RAM");
	refuse_at(ENOSPC, MIB(32), GIB(4), MIB(1), "lies outside");
	refuse_at(ENOEXEC, MIB(32), 0x7f000, 0x1001, "overlaps the start info");
	refuse_at(ENOEXEC, MIB(32), 0x91fff, 1, "overlaps the start info");
	refuse_at(ENOEXEC, MIB(32), 0xa0000, 1,
		"overlaps the hole below 1 MiB at [0xa0000, 0xf0000)");
	refuse_at(ENOEXEC, MIB(32), LAYOUT_ACPI - 1, 1, "overlaps the hole below 1 MiB");
	refuse_at(ENOEXEC, MIB(32), LAYOUT_ACPI, 16,
		"overlaps the ACPI tables at [0xf0000, 0xf1234)");
	refuse_at(ENOEXEC, MIB(32), TABLES_END - 1, MIB(2), "overlaps the ACPI tables");
	refuse_at(ENOSPC, MIB(2), TABLES_END, MIB(2), "lies outside");
	refuse_at(ENOEXEC, GIB(5), GIB(3) - 1, 2, "overlaps the device hole");
	refuse_at(ENOEXEC, GIB(5), 0xfee00000, 4096, "overlaps the device hole");
	refuse_at(ENOSPC, GIB(5), GIB(6) - 1, 2, "lies outside");
	refuse_at(ENOSPC, MIB(32), UINT64_MAX - 4096, 4096, "lies outside");
}

static void accept_at(uint64_t memory, uint64_t gpa, uint64_t size)
{
	struct memmap map = map_of(memory);
	struct elf_image elf = { .has_reloc = true, .reloc = { MIB(2), 0, UINT32_MAX } };
	struct diag diag;
	int64_t offset = 1;

	add_segment(&elf, gpa, size);
	assert_int_equal(place_kernel(&map, &elf, &offset, &diag), 0);
	assert_int_equal(offset, 0);
}

/* What fits where it was linked to stays there, although it may be moved. */
static void test_in_place(void **state)
{
	accept_at(MIB(32), MIB(16), MIB(16));
	accept_at(MIB(32), MIB(1), 1);
	accept_at(MIB(32), 0x1000, 0x7f000);
	accept_at(MIB(32), 0, 0x80000);
	/* What is reserved, but not used. */
	accept_at(MIB(32), TABLES_END, MIB(1) - TABLES_END);
	accept_at(MIB(32), TABLES_END, MIB(31));
	accept_at(MIB(32), 0xff000, MIB(31) + 4096);
	accept_at(MIB(32), 0x92000, 0xe000);
	accept_at(GIB(3), GIB(3) - 1, 1);
	accept_at(GIB(5), GIB(4), GIB(2));
}

static int move(uint64_t memory, uint64_t gpa, uint64_t size, struct elf_reloc reloc,
	int64_t *offset, struct diag *diag)
{
	struct memmap map = map_of(memory);
	struct elf_image elf = { .has_reloc = true, .reloc = reloc };

	add_segment(&elf, gpa, size);
	return place_kernel(&map, &elf, offset, diag);
}

static void expect_moved(uint64_t memory, uint64_t gpa, uint64_t size, uint64_t align, uint64_t min,
	uint64_t max, uint64_t want)
{
	struct elf_reloc reloc = { align, min, max };
	struct diag diag;
	int64_t offset;

	assert_int_equal(move(memory, gpa, size, reloc, &offset, &diag), 0);
	assert_int_equal(gpa + (uint64_t)offset, want);
}

static void test_reloc(void **state)
{
	/* From beyond RAM down, from the hole, from the hand-over. */
	expect_moved(MIB(32), MIB(64), MIB(5), MIB(2), 0, UINT32_MAX, MIB(26));
	expect_moved(MIB(32), LAYOUT_ACPI, MIB(1), MIB(2), 0, UINT32_MAX, MIB(30));
	expect_moved(MIB(32), 0x80000, MIB(1), MIB(1), 0, UINT32_MAX, MIB(31));
	expect_moved(MIB(32), 0xfee00000, MIB(1), MIB(1), 0, UINT32_MAX, MIB(31));
	/* Within the limits; max is the last byte's address. */
	expect_moved(MIB(64), MIB(128), MIB(4), MIB(2), 0, MIB(20) - 1, MIB(16));
	expect_moved(MIB(64), MIB(128), MIB(4), MIB(2), 0, MIB(20) - 2, MIB(14));
	expect_moved(MIB(64), MIB(128), MIB(4), MIB(2), MIB(16), MIB(20) - 1, MIB(16));
	/* Above 4 GiB a 32-bit entry point does not reach. */
	expect_moved(GIB(5), 0xc0000000, MIB(4), MIB(2), 0, UINT64_MAX, GIB(3) - MIB(4));
	/* Below 1 MiB, beside the hand-over and not in page 0. */
	expect_moved(MIB(32), MIB(64), 0xe000, 0x1000, 0, 0xfffff, 0x92000);
	expect_moved(MIB(32), MIB(64), 0xf000, 0x1000, 0, 0xfffff, 0x71000);
	expect_moved(MIB(32), MIB(64), 0x7f000, 0x1000, 0, 0xfffff, 0x1000);
}

static void refuse_moved(uint64_t memory, uint64_t gpa, uint64_t size, uint64_t align, uint64_t min,
	uint64_t max, const char *words)
{
	struct elf_reloc reloc = { align, min, max };
	struct diag diag = { "" };
	int64_t offset;

	assert_int_equal(move(memory, gpa, size, reloc, &offset, &diag), -ENOSPC);
	assert_diag(&diag, words);
}

static void test_reloc_refused(void **state)
{
	static const char words[] = "has no place in the guest's RAM, neither there nor in [";

	refuse_moved(MIB(32), MIB(64), MIB(40), MIB(2), 0, UINT32_MAX, words);
	refuse_moved(MIB(32), MIB(64), MIB(4), MIB(2), MIB(40), UINT32_MAX,
		"the kernel, 4M from 0x4000000 on, has no place in the guest's RAM, neither there "
		"nor in [0x2800000, 0xffffffff], where its PHYS32_RELOC note lets it be moved");
	refuse_moved(MIB(32), GIB(3), MIB(4), MIB(2), GIB(3), UINT32_MAX, words);
	refuse_moved(MIB(32), GIB(3), MIB(4), MIB(2), 0, MIB(1), words);
	refuse_moved(MIB(32), GIB(3), MIB(4), 1ull << 63, 0, UINT64_MAX, words);
	refuse_moved(MIB(32), GIB(3), MIB(4), MIB(2), UINT64_MAX, UINT64_MAX, words);
}

static uint64_t next_random(uint64_t *seed)
{
	*seed ^= *seed << 13;
	*seed ^= *seed >> 7;
	*seed ^= *seed << 17;
	return *seed;
}

static bool could_lie_at(
	const struct memmap *map, const struct elf_reloc *reloc, uint64_t start, uint64_t size)
{
	bool off_handover = start + size <= LAYOUT_START_INFO ||
	                    start >= LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE;

	return start >= 4096 && start >= reloc->min && start + size - 1 <= reloc->max &&
	       start + size - 1 <= UINT32_MAX && memmap_is_ram(map, start, size) && off_handover;
}

/* Against the plainest search: every aligned address from the top of RAM down. */
static void test_reloc_property(void **state)
{
	uint64_t seed = 88172645463325252ull;
	unsigned int moved = 0, refused = 0;

	for (int i = 0; i < 3000; i++) {
		uint64_t memory = MIB(1) + KIB(4) * (1 + next_random(&seed) % 2000), want;
		uint64_t align = 1ull << (8 + next_random(&seed) % 14);
		struct elf_image elf = { .has_reloc = true };
		struct memmap map = map_of(memory);
		struct diag diag;
		int64_t offset;
		int ret;

		add_segment(&elf, MIB(64), 1 + next_random(&seed) % (memory / 2));
		elf.reloc.align = align;
		elf.reloc.min = next_random(&seed) % memory / (1 + next_random(&seed) % 16);
		elf.reloc.max = elf.reloc.min + next_random(&seed) % (2 * memory);
		ret = place_kernel(&map, &elf, &offset, &diag);

		for (want = ALIGN_DOWN(memory, align); want; want -= align)
			if (could_lie_at(&map, &elf.reloc, want, elf.end - elf.start))
				break;
		if (want) {
			assert_int_equal(ret, 0);
			assert_int_equal(elf.start + (uint64_t)offset, want);
			moved++;
		} else {
			assert_int_equal(ret, -ENOSPC);
			refused++;
		}
	}
	/* Both outcomes were tried. */
	assert_true(moved > 300 && refused > 300);
}

static gpa_t module_beside(uint64_t memory, uint64_t kernel, uint64_t kernel_size, uint64_t size,
	bool anywhere, struct hvm_modlist_entry other)
{
	struct memmap map = map_of(memory);
	struct elf_image elf = { 0 };
	struct place_taken taken = {
		.elf = &elf,
		.offset = (int64_t)kernel - 0x2000,
		.module = { other },
		.n_modules = other.size ? 1 : 0,
	};
	struct diag diag = { "" };
	gpa_t gpa;
	int ret;

	/* Linked below, so that the offset counts. */
	add_segment(&elf, 0x1000, 1);
	add_segment(&elf, 0x2000, kernel_size);
	ret = place_module(&map, &taken, "initrd", size, anywhere, &gpa, &diag);
	if (ret) {
		assert_int_equal(ret, -ENOSPC);
		assert_diag(&diag, "the initrd of ");
		assert_diag(&diag, "does not fit beside the kernel");
	}
	return ret ? 0 : gpa;
}

static gpa_t initrd_beside(uint64_t memory, uint64_t kernel, uint64_t kernel_size, uint64_t size)
{
	return module_beside(
		memory, kernel, kernel_size, size, false, (struct hvm_modlist_entry){ 0 });
}

static void test_initrd(void **state)
{
	/* At the top; under the kernel if that is there; whole pages. */
	assert_int_equal(initrd_beside(MIB(64), MIB(16), MIB(8), 4096), MIB(64) - 4096);
	assert_int_equal(initrd_beside(MIB(64), MIB(16), MIB(8), 4097), MIB(64) - 8192);
	assert_int_equal(initrd_beside(MIB(64), MIB(56), MIB(8), 100), MIB(56) - 8192);
	assert_int_equal(initrd_beside(MIB(64), MIB(56) + 5, MIB(8) - 5, 100), MIB(56) - 8192);
	assert_int_equal(initrd_beside(MIB(64), MIB(16), MIB(8), MIB(40)), MIB(24));
	assert_int_equal(initrd_beside(MIB(64), MIB(16), MIB(8) + 1, MIB(40)), 0);
	assert_int_equal(initrd_beside(MIB(64), MIB(33), MIB(8), MIB(31)), MIB(2) - 4096);
	/* Below 1 GiB, if it fits there; below 4 GiB, and not below 1 MiB, whatever there is above.
	 */
	assert_int_equal(initrd_beside(GIB(8), MIB(16), MIB(8), MIB(1)), GIB(1) - MIB(1));
	assert_int_equal(initrd_beside(GIB(8), MIB(16), MIB(900), MIB(108)), MIB(916));
	assert_int_equal(
		initrd_beside(GIB(8), MIB(16), MIB(900), MIB(108) + 1), GIB(3) - MIB(108) - 4096);
	assert_int_equal(initrd_beside(GIB(2), MIB(16), MIB(1000), MIB(20)), GIB(2) - MIB(20));
	assert_int_equal(initrd_beside(GIB(64), MIB(16), MIB(8), GIB(3)), 0);
	assert_int_equal(initrd_beside(MIB(2), MIB(1), MIB(1) - 1, 4096), 0);
	assert_int_equal(initrd_beside(MIB(64), MIB(16), MIB(8), UINT64_MAX), 0);
}

static void test_module(void **state)
{
	const struct hvm_modlist_entry none = { 0 }, top = { .paddr = MIB(63), .size = MIB(1) };
	const struct hvm_modlist_entry odd = { .paddr = MIB(62), .size = 4097 };

	/* Beside another one, which has its last page for itself. */
	assert_int_equal(module_beside(MIB(64), MIB(16), MIB(8), 1, false, top), MIB(63) - 4096);
	assert_int_equal(
		module_beside(MIB(64), MIB(16), MIB(8), MIB(2) - 8192, false, odd), MIB(62) + 8192);
	assert_int_equal(
		module_beside(MIB(64), MIB(16), MIB(8), MIB(2) - 8191, false, odd), MIB(60) + 4096);
	assert_int_equal(module_beside(MIB(64), MIB(16), MIB(8), MIB(40), false, top), 0);
	/* Where there is no room below, above if that is allowed; below first. */
	assert_int_equal(
		module_beside(GIB(8), MIB(16), MIB(8), MIB(1), true, none), GIB(1) - MIB(1));
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), GIB(2), true, none), GIB(1));
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), GIB(3), true, none), GIB(6));
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), GIB(5), true, none), GIB(4));
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), GIB(5) + 1, true, none), 0);
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), GIB(3), false, none), 0);
	assert_int_equal(module_beside(GIB(8), MIB(16), MIB(8), UINT64_MAX, true, none), 0);
}

/* A kernel that will unpack itself finds nothing in its way, unless there is no other place. */
static void test_room(void **state)
{
	struct memmap map = map_of(MIB(128));
	struct elf_image elf = { 0 };
	struct place_taken taken = { .elf = &elf, .room_start = MIB(16), .room_end = MIB(120) };
	struct diag diag;
	gpa_t gpa;

	add_segment(&elf, MIB(1), MIB(1));
	assert_int_equal(place_module(&map, &taken, "initrd", MIB(8), false, &gpa, &diag), 0);
	assert_int_equal(gpa, MIB(120));
	assert_int_equal(place_module(&map, &taken, "initrd", MIB(14), false, &gpa, &diag), 0);
	assert_int_equal(gpa, MIB(2));
	assert_int_equal(place_module(&map, &taken, "initrd", MIB(15), false, &gpa, &diag), 0);
	assert_int_equal(gpa, MIB(113));
	/* A huge one leaves no room below 1 GiB. */
	map = map_of(GIB(4));
	taken.room_end = GIB(1) + MIB(16);
	assert_int_equal(place_module(&map, &taken, "initrd", MIB(15), false, &gpa, &diag), 0);
	assert_int_equal(gpa, GIB(3) - MIB(15));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_misplaced),
		cmocka_unit_test(test_in_place),
		cmocka_unit_test(test_reloc),
		cmocka_unit_test(test_reloc_refused),
		cmocka_unit_test(test_reloc_property),
		cmocka_unit_test(test_initrd),
		cmocka_unit_test(test_module),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
