// SPDX-License-Identifier: MIT
/* test_guest_mem_watch.c - which pages of guest RAM are written, as the host's kernel tells it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/guest_mem_watch.h"
#include "skip.h"
#include "util/file.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE GUEST_MEM_PAGE
#define SIZE MIB(8)

static uint8_t *page_at(const struct guest_mem *mem, uint64_t page)
{
	return guest_mem_at(mem, page * PAGE, PAGE);
}

static int make_file(void)
{
	int fd = memfd_create("saved", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, SIZE), 0);
	return fd;
}

static void watch(struct guest_mem *mem)
{
	int ret = guest_mem_watch(mem);

	if (ret == -EOPNOTSUPP) {
		guest_mem_fini(mem);
		skip_because(
			"this kernel does not tell which pages are written: it is older than 6.7");
	}
	assert_int_equal(ret, 0);
	assert_true(guest_mem_is_watched(mem));
}

/* Exactly these, and each once, are taken. */
static void check_taken(struct guest_mem *mem, const uint64_t *pages, size_t n)
{
	struct mem_runs runs = { 0 };
	size_t seen = 0;

	assert_int_equal(guest_mem_take_written(mem, &runs, true), 0);
	for (size_t i = 0; i < runs.n; i++)
		for (uint64_t at = 0; at < runs.run[i].size; at += PAGE, seen++) {
			uint64_t page = (runs.run[i].offset + at) / PAGE;

			if (seen >= n || page != pages[seen])
				fail_msg("page %llu was taken", (unsigned long long)page);
			assert_ptr_equal(runs.run[i].hva + at, page_at(mem, page));
		}
	assert_int_equal(seen, n);
	assert_true(runs.size == n * PAGE);
	mem_runs_free(&runs);
}

#define TAKEN(mem, ...)                                     \
	check_taken(mem, (const uint64_t[]){ __VA_ARGS__ }, \
		sizeof((const uint64_t[]){ __VA_ARGS__ }) / sizeof(uint64_t))

/* All that is there counts as written at first, and what lies beside it may. */
static void take_first(struct guest_mem *mem)
{
	struct mem_runs runs = { 0 };

	assert_int_equal(guest_mem_take_written(mem, &runs, true), 0);
	mem_runs_free(&runs);
	check_taken(mem, NULL, 0);
}

static void test_what_is_written(void **state)
{
	struct guest_mem mem;
	int fd = make_file();

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	memset(page_at(&mem, 0), 1, 512 * PAGE);   /* small pages */
	memset(page_at(&mem, 512), 1, 512 * PAGE); /* and where they may be huge */
	watch(&mem);
	take_first(&mem);
	*page_at(&mem, 3) = 2;
	*page_at(&mem, 4) = 1; /* the same as before */
	*page_at(&mem, 600) = 2;
	assert_int_equal(page_at(&mem, 7)[0], 1); /* read */
	/* By the kernel, at our address. */
	assert_int_equal(read(fd, page_at(&mem, 9), PAGE), PAGE);
	TAKEN(&mem, 3, 4, 9, 600);
	check_taken(&mem, NULL, 0);
	*page_at(&mem, 3) = 4;
	TAKEN(&mem, 3);
	/* One that was not there. */
	*page_at(&mem, 2000) = 1;
	{
		struct mem_runs runs = { 0 };

		assert_int_equal(guest_mem_take_written(&mem, &runs, true), 0);
		assert_true(runs.n == 1 && runs.run[0].offset <= 2000 * PAGE &&
			    runs.run[0].offset + runs.run[0].size > 2000 * PAGE);
		mem_runs_free(&runs);
	}
	guest_mem_unwatch(&mem);
	assert_false(guest_mem_is_watched(&mem));
	guest_mem_unwatch(&mem);
	/* And once more. */
	watch(&mem);
	take_first(&mem);
	*page_at(&mem, 5) = 3;
	TAKEN(&mem, 5);
	guest_mem_fini(&mem);
	close(fd);
}

static void test_what_is_given_back(void **state)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	memset(page_at(&mem, 0), 1, SIZE);
	watch(&mem);
	take_first(&mem);
	guest_mem_give_back(&mem, page_at(&mem, 20), 2 * PAGE);
	guest_mem_give_back(&mem, page_at(&mem, 1024), MIB(2));
	{
		struct mem_runs runs = { 0 };
		uint8_t seen[SIZE / PAGE] = { 0 };

		assert_int_equal(guest_mem_take_written(&mem, &runs, true), 0);
		for (size_t i = 0; i < runs.n; i++)
			memset(&seen[runs.run[i].offset / PAGE], 1, runs.run[i].size / PAGE);
		for (size_t i = 0; i < SIZE / PAGE; i++)
			assert_int_equal(seen[i], i == 20 || i == 21 || (i >= 1024 && i < 1536));
		mem_runs_free(&runs);
	}
	check_taken(&mem, NULL, 0);
	*page_at(&mem, 21) = 7;
	TAKEN(&mem, 21);
	guest_mem_fini(&mem);
}

/* Of a map of a file what is read is the file's; what is given back is other memory then. */
static void test_map_of_a_file(void **state)
{
	struct guest_mem mem;
	int base = make_file();

	for (uint64_t i = 0; i < SIZE / PAGE; i++)
		assert_int_equal(file_write_at(base, "x", 1, i * PAGE), 0);
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	*page_at(&mem, 1) = 'y';
	watch(&mem);
	take_first(&mem);
	assert_int_equal(*page_at(&mem, 5), 'x');
	*page_at(&mem, 6) = 'z';
	*page_at(&mem, 1) = 'z';
	TAKEN(&mem, 1, 6);
	guest_mem_give_back(&mem, page_at(&mem, 700), PAGE);
	assert_int_equal(*page_at(&mem, 700), 0);
	{
		struct mem_runs runs = { 0 };

		assert_int_equal(guest_mem_take_written(&mem, &runs, true), 0);
		assert_true(runs.n >= 1 && runs.run[0].offset == 700 * PAGE);
		mem_runs_free(&runs);
	}
	*page_at(&mem, 700) = 1;
	TAKEN(&mem, 700);
	guest_mem_fini(&mem);
	close(base);
}

static void test_not_of_shared_memory(void **state)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_shared(&mem, SIZE), 0);
	assert_int_equal(guest_mem_watch(&mem), -EOPNOTSUPP);
	assert_false(guest_mem_is_watched(&mem));
	guest_mem_fini(&mem);
}

static void test_reset_ends_it(void **state)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	memset(page_at(&mem, 0), 1, SIZE);
	watch(&mem);
	assert_int_equal(guest_mem_reset(&mem), 0);
	assert_false(guest_mem_is_watched(&mem));
	assert_int_equal(*page_at(&mem, 3), 0);
	watch(&mem);
	*page_at(&mem, 3) = 1;
	take_first(&mem);
	*page_at(&mem, 3) = 1;
	TAKEN(&mem, 3);
	guest_mem_fini(&mem);
}

/* ---- saved while somebody writes ---- */

struct scribbler {
	struct guest_mem *mem;
	atomic_bool stop;
	pthread_t thread;
};

static void *scribble(void *arg)
{
	struct scribbler *scribbler = arg;
	uint32_t at = 1;

	while (!atomic_load(&scribbler->stop)) {
		uint8_t *page;

		at = at * 1664525 + 1013904223;
		page = page_at(scribbler->mem, at / PAGE % (SIZE / PAGE));
		if (at % 97)
			page[at % PAGE] ^= (uint8_t)(at >> 24);
		else
			guest_mem_give_back(scribbler->mem, page, PAGE);
	}
	return NULL;
}

static void check_file(const struct guest_mem *mem, int fd)
{
	uint8_t page[PAGE];

	for (uint64_t i = 0; i < SIZE / PAGE; i++) {
		assert_int_equal(file_read_at(fd, page, PAGE, i * PAGE), 0);
		if (memcmp(page, page_at(mem, i), PAGE) != 0)
			fail_msg("page %llu is not as it is in memory", (unsigned long long)i);
	}
}

static void save_beside_scribbler(struct guest_mem *mem)
{
	struct scribbler scribbler = { .mem = mem };
	struct mem_runs runs = { 0 };
	static uint8_t copy[SIZE * 2];
	atomic_bool stop = false;
	int fd = make_file();

	assert_int_equal(pthread_create(&scribbler.thread, NULL, scribble, &scribbler), 0);
	assert_int_equal(guest_mem_save_prepared(mem, fd, false, &stop), 0);
	for (unsigned int i = 0; i < 5; i++) {
		assert_int_equal(guest_mem_take_written(mem, &runs, false), 0);
		assert_int_equal(mem_runs_save(&runs, NULL, fd), 0);
	}
	atomic_store(&scribbler.stop, true);
	pthread_join(scribbler.thread, NULL);
	assert_int_equal(guest_mem_take_written(mem, &runs, true), 0);
	assert_true(runs.size <= sizeof(copy));
	mem_runs_copy(&runs, copy);
	assert_int_equal(mem_runs_save(&runs, copy, fd), 0);
	check_file(mem, fd);
	mem_runs_free(&runs);
	close(fd);
}

static void test_saved_beside_writers(void **state)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	watch(&mem);
	for (unsigned int i = 0; i < 5; i++)
		save_beside_scribbler(&mem);
	guest_mem_fini(&mem);
}

static void test_map_saved_beside_writers(void **state)
{
	struct guest_mem mem;
	int base = make_file();

	for (uint64_t i = 0; i < SIZE / PAGE; i += 3)
		assert_int_equal(file_write_at(base, "x", 1, i * PAGE), 0);
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	watch(&mem);
	save_beside_scribbler(&mem);
	guest_mem_fini(&mem);
	close(base);
}

static void test_stopped(void **state)
{
	struct guest_mem mem;
	atomic_bool stop = true;
	int fd = make_file();

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	watch(&mem);
	assert_int_equal(guest_mem_save_prepared(&mem, fd, false, &stop), -ECANCELED);
	guest_mem_fini(&mem);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_written),
		cmocka_unit_test(test_what_is_given_back),
		cmocka_unit_test(test_map_of_a_file),
		cmocka_unit_test(test_not_of_shared_memory),
		cmocka_unit_test(test_reset_ends_it),
		cmocka_unit_test(test_saved_beside_writers),
		cmocka_unit_test(test_map_saved_beside_writers),
		cmocka_unit_test(test_stopped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
