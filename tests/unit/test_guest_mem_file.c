// SPDX-License-Identifier: MIT
/* test_guest_mem_file.c - a file is read into guest RAM */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "known_file.h"
#include "mem/guest_mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE (MIB(32) + 77)

struct fixture {
	struct guest_mem mem;
	int fd;
};

static void init(struct fixture *f)
{
	assert_int_equal(guest_mem_init(&f->mem, MIB(64)), 0);
	f->fd = make_file(FILE_SIZE);
}

static void fini(struct fixture *f)
{
	close(f->fd);
	guest_mem_fini(&f->mem);
}

static void check_bytes(struct fixture *f, gpa_t gpa, uint64_t offset, uint64_t size)
{
	const uint8_t *ram = guest_mem_at(&f->mem, gpa - 1, size + 2);

	assert_int_equal(ram[0], 0);
	assert_int_equal(ram[size + 1], 0);
	for (uint64_t i = 0; i < size; i++)
		if (ram[i + 1] != file_byte(offset + i))
			fail_msg("wrong byte at %llu of %llu", (unsigned long long)i,
				(unsigned long long)size);
	memset(guest_mem_at(&f->mem, gpa, size), 0, size);
}

static void check(struct fixture *f, gpa_t gpa, uint64_t offset, uint64_t size)
{
	assert_int_equal(guest_mem_read_file(&f->mem, gpa, f->fd, offset, size), 0);
	check_bytes(f, gpa, offset, size);
}

static void test_large(void **state)
{
	struct fixture f;

	init(&f);
	check(&f, MIB(2), 0, FILE_SIZE);
	check(&f, MIB(3) + 5, 0, FILE_SIZE);
	check(&f, MIB(17) - 1, 12345, FILE_SIZE - 12345);
	check(&f, MIB(2) + 1, 1, MIB(8));
	check(&f, MIB(2), 0, MIB(8) - 1);
	check(&f, 100, 1, 1);
	fini(&f);
}

/* Three pages; every byte is its page's number plus one. */
static void test_small(void **state)
{
	struct fixture f;
	uint8_t *ram;
	int fd = memfd_create("test", 0);

	init(&f);
	ram = f.mem.region[0].hva;
	for (int i = 1; i <= 3; i++) {
		uint8_t page[4096];

		memset(page, i, sizeof(page));
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	assert_int_equal(guest_mem_read_file(&f.mem, 0x100, fd, 4095, 4098), 0);
	assert_int_equal(ram[0xff], 0);
	assert_int_equal(ram[0x100], 1);
	assert_int_equal(ram[0x101], 2);
	assert_int_equal(ram[0x1100], 2);
	assert_int_equal(ram[0x1101], 3);
	assert_int_equal(ram[0x1102], 0);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, 8192, 4096), 0);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, 8192, 4097), -ENODATA);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, UINT64_MAX, 1), -ENODATA);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, 1, INT64_MAX), -EFAULT);
	assert_int_equal(guest_mem_read_file(&f.mem, MIB(64) - 1, fd, 0, 2), -EFAULT);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, -1, 0, 1), -EBADF);
	close(fd);
	fini(&f);
}

/* Holes leave RAM as it is: at the start, between, and at the end, which is the file's or not. */
static void test_holes(void **state)
{
	struct fixture f;
	uint8_t *ram;
	int fd = memfd_create("holes", MFD_CLOEXEC);

	init(&f);
	ram = f.mem.region[0].hva;
	assert_int_equal(pwrite(fd, "abc", 3, KIB(128) + 1), 3);
	assert_int_equal(pwrite(fd, "d", 1, KIB(256)), 1);
	assert_int_equal(ftruncate(fd, KIB(512)), 0);
	memset(ram, 7, MIB(1));
	assert_int_equal(guest_mem_read_file(&f.mem, KIB(4), fd, 1, KIB(512) - 1), 0);
	assert_memory_equal(ram + KIB(4) + KIB(128), "abc", 3);
	assert_int_equal(ram[KIB(4) + KIB(256) - 1], 'd');
	assert_int_equal(ram[KIB(4)], 7);
	assert_int_equal(ram[KIB(4) + KIB(64)], 7);
	assert_int_equal(ram[KIB(4) + KIB(512) - 2], 7);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, KIB(300), KIB(212)), 0);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, KIB(300), KIB(212) + 1), -ENODATA);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, 0, KIB(512) + 1), -ENODATA);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, fd, KIB(128) + 2, 1), 0);
	assert_int_equal(ram[0], 'b');
	assert_int_equal(ram[1], 7);
	close(fd);
	fini(&f);
}

/* A hole between two runs that are each read by pieces. */
static void test_hole_between(void **state)
{
	struct fixture f;

	init(&f);
	assert_int_equal(
		fallocate(f.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, MIB(11), MIB(6)), 0);
	memset(guest_mem_at(&f.mem, MIB(12), MIB(8)), 7, MIB(8));
	assert_int_equal(guest_mem_read_file(&f.mem, MIB(2), f.fd, 0, FILE_SIZE), 0);
	for (uint64_t i = 0; i < FILE_SIZE; i++) {
		const uint8_t *byte = guest_mem_at(&f.mem, MIB(2) + i, 1);

		if (*byte != (range_within(i, 1, MIB(11), MIB(6)) ? 7 : file_byte(i)))
			fail_msg("wrong byte at %llu", (unsigned long long)i);
	}
	fini(&f);
}

static void test_errors(void **state)
{
	struct fixture f;

	init(&f);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(guest_mem_read_file(&f.mem, 0, f.fd, 1, FILE_SIZE), -ENODATA);
		assert_int_equal(
			guest_mem_read_file(&f.mem, 0, f.fd, FILE_SIZE, MIB(32)), -ENODATA);
	}
	assert_int_equal(guest_mem_read_file(&f.mem, 0, -1, 0, MIB(9)), -EBADF);
	assert_int_equal(guest_mem_read_file(&f.mem, MIB(60), f.fd, 0, MIB(9)), -EFAULT);
	assert_int_equal(guest_mem_read_file(&f.mem, 0, f.fd, UINT64_MAX, MIB(9)), -ENODATA);
	memset(f.mem.region[0].hva, 0, f.mem.region[0].size);
	check(&f, MIB(2), 0, FILE_SIZE);
	fini(&f);
}

/* What was a file's page reads as zeros too: the host must not bring the file's bytes back. */
static void test_given_back(void **state)
{
	struct fixture f;
	uint8_t *ram;

	init(&f);
	ram = f.mem.region[0].hva;
	assert_int_equal(guest_mem_map_file(&f.mem, MIB(2), f.fd, 0, MIB(1)), 0);
	memset(ram + MIB(8), 0x77, 3 * 4096);
	assert_int_equal(ram[MIB(2) + 4097], file_byte(4097));
	guest_mem_give_back(&f.mem, ram + MIB(2) + 4095, 4096 + 2);
	assert_int_equal(ram[MIB(2) + 4095], file_byte(4095));
	assert_int_equal(ram[MIB(2) + 4097], 0);
	assert_int_equal(ram[MIB(2) + 8192], file_byte(8192));
	ram[MIB(2) + 4097] = 1;
	guest_mem_give_back(&f.mem, ram + MIB(8) + 1, 2 * 4096);
	assert_int_equal(ram[MIB(8) + 4095], 0x77);
	assert_int_equal(ram[MIB(8) + 4096], 0);
	assert_int_equal(ram[MIB(8) + 8192], 0x77);
	guest_mem_give_back(&f.mem, ram + MIB(8) + 1, 4095);
	guest_mem_give_back(&f.mem, ram + MIB(8), 0);
	assert_int_equal(ram[MIB(8)], 0x77);
	assert_int_equal(guest_mem_reset(&f.mem), 0);
	assert_int_equal(ram[MIB(2)], 0);
	fini(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_large),
		cmocka_unit_test(test_small),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_given_back),
		cmocka_unit_test(test_hole_between),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
