// SPDX-License-Identifier: MIT
/* test_readers.c - several threads read a file into guest RAM */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/readers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FILE_SIZE (MIB(32) + 77)
#define N_HELPERS 3

/* Never zero, so that missing bytes show. */
static uint8_t file_byte(uint64_t offset)
{
	return (uint8_t)(offset % 251 + 1);
}

static int make_file(void)
{
	int fd = memfd_create("test", 0);
	uint8_t *bytes = malloc(FILE_SIZE);

	assert_true(fd >= 0);
	assert_non_null(bytes);
	for (uint64_t i = 0; i < FILE_SIZE; i++)
		bytes[i] = file_byte(i);
	assert_int_equal(write(fd, bytes, FILE_SIZE), FILE_SIZE);
	free(bytes);
	return fd;
}

struct fixture {
	struct guest_mem mem;
	struct readers readers;
	pthread_t helper[N_HELPERS];
	int fd;
};

static void *help(void *arg)
{
	readers_help(arg);
	return NULL;
}

static void init(struct fixture *f, unsigned int n_helpers)
{
	assert_int_equal(guest_mem_init(&f->mem, MIB(64)), 0);
	readers_init(&f->readers, &f->mem);
	for (unsigned int i = 0; i < n_helpers; i++)
		assert_int_equal(pthread_create(&f->helper[i], NULL, help, &f->readers), 0);
	f->fd = make_file();
}

static void fini(struct fixture *f, unsigned int n_helpers)
{
	readers_dismiss(&f->readers);
	readers_dismiss(&f->readers);
	for (unsigned int i = 0; i < n_helpers; i++)
		assert_int_equal(pthread_join(f->helper[i], NULL), 0);
	close(f->fd);
	readers_fini(&f->readers);
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
	assert_int_equal(readers_read_file(&f->readers, gpa, f->fd, offset, size), 0);
	check_bytes(f, gpa, offset, size);
}

static void check_reads(unsigned int n_helpers)
{
	struct fixture f;

	init(&f, n_helpers);
	check(&f, MIB(2), 0, FILE_SIZE);
	check(&f, MIB(3) + 5, 0, FILE_SIZE);
	check(&f, MIB(17) - 1, 12345, FILE_SIZE - 12345);
	check(&f, MIB(2) + 1, 1, MIB(4));
	check(&f, MIB(2), 0, MIB(4) - 1);
	check(&f, 100, 1, 1);
	fini(&f, n_helpers);
}

static void test_alone(void **state)
{
	check_reads(0);
}

static void test_with_helpers(void **state)
{
	check_reads(N_HELPERS);
}

/* The same without the thread that wants it: the helpers do it all. */
static void test_helpers_take_part(void **state)
{
	struct fixture f;

	init(&f, N_HELPERS);
	pthread_mutex_lock(&f.readers.lock);
	f.readers.left = (struct reading){ MIB(3), f.fd, 1, FILE_SIZE - 1 };
	pthread_cond_broadcast(&f.readers.changed);
	while (f.readers.left.size || f.readers.n_busy)
		pthread_cond_wait(&f.readers.changed, &f.readers.lock);
	pthread_mutex_unlock(&f.readers.lock);
	check_bytes(&f, MIB(3), 1, FILE_SIZE - 1);
	fini(&f, N_HELPERS);
}

static void test_errors(void **state)
{
	struct fixture f;

	init(&f, N_HELPERS);
	for (int i = 0; i < 20; i++) {
		assert_int_equal(readers_read_file(&f.readers, 0, f.fd, 1, FILE_SIZE), -ENODATA);
		assert_int_equal(
			readers_read_file(&f.readers, 0, f.fd, FILE_SIZE, MIB(32)), -ENODATA);
	}
	assert_int_equal(readers_read_file(&f.readers, 0, -1, 0, MIB(8)), -EBADF);
	assert_int_equal(readers_read_file(&f.readers, MIB(60), f.fd, 0, MIB(8)), -EFAULT);
	assert_int_equal(readers_read_file(&f.readers, 0, f.fd, UINT64_MAX, MIB(8)), -ENODATA);
	memset(f.mem.region[0].hva, 0, f.mem.region[0].size);
	check(&f, MIB(2), 0, FILE_SIZE);
	fini(&f, N_HELPERS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_alone),
		cmocka_unit_test(test_with_helpers),
		cmocka_unit_test(test_helpers_take_part),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
