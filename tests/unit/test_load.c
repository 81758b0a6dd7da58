// SPDX-License-Identifier: MIT
/* test_load.c - what of a kernel is mapped, what is read, and that nobody sees which */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/load.h"
#include "known_file.h"

#include <elf.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE MIB(12)

/* The pieces of the segment at its own address, as text: "r4096 m2097152 ". */
static const char *pieces_of(
	const struct image *image, const struct elf_segment *segment, enum load_map map)
{
	static char text[200];
	struct load_piece piece;
	size_t n = 0;

	for (uint64_t done = 0; done < segment->file_size; done += piece.size) {
		piece = load_next(image, segment, map, segment->gpa, done);
		assert_true(piece.size > 0);
		n += (size_t)snprintf(text + n, sizeof(text) - n, "%c%" PRIu64 " ",
			piece.mapped ? 'm' : 'r', piece.size);
		assert_true(n < sizeof(text));
	}
	return text;
}

static const char *pieces(const struct image *image, const struct elf_segment *segment)
{
	return pieces_of(image, segment, LOAD_MAP_CONSTANTS);
}

static void test_constants_are_mapped(void **state)
{
	struct elf_segment s = {
		.gpa = MIB(16), .offset = 4096, .file_size = MIB(8), .flags = PF_R
	};
	struct image image = { .owned_file = false };

	assert_string_equal(pieces(&image, &s), "r8388608 ");
	image.owned_file = true;
	assert_string_equal(pieces(&image, &s), "m8388608 ");
	s.flags |= PF_W;
	assert_string_equal(pieces(&image, &s), "r8388608 ");
	s.flags = PF_R | PF_X; /* where its code is, elf.code says */
	assert_string_equal(pieces(&image, &s), "m8388608 ");
	s.offset = 4097;
	assert_string_equal(pieces(&image, &s), "r8388608 ");
}

static void test_whole_blocks_are_mapped(void **state)
{
	struct elf_segment s = {
		.gpa = MIB(16), .offset = 8192, .file_size = MIB(8) - 1, .flags = PF_R
	};
	struct image image = { .owned_file = true };

	assert_string_equal(pieces(&image, &s), "m6291456 r2097151 ");
	s.gpa = MIB(17) + 4096;
	assert_string_equal(pieces(&image, &s), "r1044480 m6291456 r1052671 ");
	s.gpa = MIB(16) + 5;
	s.offset = 5;
	assert_string_equal(pieces(&image, &s), "r2097147 m6291456 r4 ");
	s.file_size = MIB(2) - 5;
	assert_string_equal(pieces(&image, &s), "r2097147 ");
	s.file_size = 1;
	assert_string_equal(pieces(&image, &s), "r1 ");
}

static void test_code_is_read(void **state)
{
	struct elf_segment s = {
		.gpa = MIB(16), .offset = 4096, .file_size = MIB(8), .flags = PF_R | PF_X
	};
	struct image image = { .owned_file = true, .elf = { .n_code = 1 } };
	struct elf_extent *code = &image.elf.code[0];

	*code = (struct elf_extent){ 4096, MIB(2) };
	assert_string_equal(pieces(&image, &s), "r2097152 m6291456 ");
	code->size++;
	assert_string_equal(pieces(&image, &s), "r4194304 m4194304 ");
	*code = (struct elf_extent){ 4096 + MIB(4) - 1, 1 };
	assert_string_equal(pieces(&image, &s), "m2097152 r2097152 m4194304 ");
	*code = (struct elf_extent){ 4096 + MIB(8) - 1, MIB(100) };
	assert_string_equal(pieces(&image, &s), "m6291456 r2097152 ");
	*code = (struct elf_extent){ 0, 4096 };
	assert_string_equal(pieces(&image, &s), "m8388608 ");
}

static void test_all_or_nothing_is_mapped(void **state)
{
	struct elf_segment s = { .gpa = MIB(16) + 5,
		.offset = 4096 + 5,
		.file_size = MIB(3),
		.flags = PF_R | PF_W | PF_X };
	struct image image = { .owned_file = true };

	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_ALL), "r4091 m3141632 r5 ");
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_NONE), "r3145728 ");
	s.file_size = 4095;
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_ALL), "r4095 ");
	s.gpa = MIB(16);
	s.offset = 4096;
	s.file_size = 4096;
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_ALL), "m4096 ");
	s.flags = PF_R;
	s.file_size = MIB(4);
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_NONE), "r4194304 ");
	image.owned_file = false;
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_ALL), "r4194304 ");
	image.owned_file = true;
	s.offset = 1;
	assert_string_equal(pieces_of(&image, &s, LOAD_MAP_ALL), "r4194304 ");
}

/* The guest has the file's bytes, zeros after them, and the file its own whatever the guest writes.
 */
static void check_contents(enum load_map map, const char *expected)
{
	struct image image = {
		.fd = make_file(FILE_SIZE),
		.size = FILE_SIZE,
		.owned_file = true,
		.elf = { .n_code = 1, .code = { { MIB(4), 4096 } } },
	};
	struct elf_segment s = { .gpa = MIB(17) + 5,
		.offset = 4096 + 5,
		.file_size = MIB(10),
		.mem_size = MIB(11),
		.flags = PF_R | PF_X };
	struct guest_mem mem;
	uint8_t *ram, byte;

	assert_int_equal(guest_mem_init(&mem, MIB(64)), 0);
	assert_string_equal(pieces_of(&image, &s, map), expected);
	assert_int_equal(load_segment(&mem, &image, &s, map, s.gpa), 0);
	ram = guest_mem_at(&mem, s.gpa - 5, s.mem_size + 5);
	for (uint64_t i = 0; i < s.mem_size + 5; i++)
		if (ram[i] != (i < 5 || i >= s.file_size + 5 ? 0 : file_byte(4096 + i)))
			fail_msg("wrong byte at %" PRIu64, i);
	memset(ram, 0, s.mem_size);
	for (uint64_t offset = 0; offset < FILE_SIZE; offset += 1000) {
		assert_int_equal(pread(image.fd, &byte, 1, (off_t)offset), 1);
		assert_int_equal(byte, file_byte(offset));
	}
	close(image.fd);
	guest_mem_fini(&mem);
}

static void test_contents(void **state)
{
	check_contents(LOAD_MAP_CONSTANTS, "r1048571 m2097152 r2097152 m4194304 r1048581 ");
	check_contents(LOAD_MAP_ALL, "r4091 m10481664 r5 ");
	check_contents(LOAD_MAP_NONE, "r10485760 ");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_constants_are_mapped),
		cmocka_unit_test(test_whole_blocks_are_mapped),
		cmocka_unit_test(test_code_is_read),
		cmocka_unit_test(test_all_or_nothing_is_mapped),
		cmocka_unit_test(test_contents),
	};

	return cmocka_run_group_tests_name("load", tests, NULL, NULL);
}
