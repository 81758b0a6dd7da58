// SPDX-License-Identifier: MIT
/* test_guest_mem_save.c - guest RAM into a file, and RAM that is such a file's */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/guest_mem.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define PAGE GUEST_MEM_PAGE
#define SIZE MIB(8)
#define BOTH (GIB(3) + MIB(4)) /* in two regions */

/* ---- RAM ---- */

static uint8_t *page_at(const struct guest_mem *mem, gpa_t gpa)
{
	uint8_t *page = guest_mem_at(mem, gpa, PAGE);

	assert_non_null(page);
	return page;
}

static void fill(const struct guest_mem *mem, gpa_t gpa, int byte)
{
	memset(page_at(mem, gpa), byte, PAGE);
}

static void check_page(const struct guest_mem *mem, gpa_t gpa, int byte)
{
	const uint8_t *page = page_at(mem, gpa);

	for (unsigned int i = 0; i < PAGE; i++)
		if (page[i] != byte)
			fail_msg("byte %u of page 0x%llx is %u", i, (unsigned long long)gpa,
				page[i]);
}

/* Whether one of the pages was made, which reading it would do. */
static bool is_made(const struct guest_mem *mem, gpa_t gpa)
{
	uint64_t entry;
	int fd = open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);

	assert_int_equal(file_read_at(fd, &entry, 8, (uintptr_t)page_at(mem, gpa) / PAGE * 8), 0);
	close(fd);
	return entry >> 62;
}

/* ---- files ---- */

static int make_file(void)
{
	int fd = memfd_create("saved", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	assert_true(fd >= 0);
	return fd;
}

static int save(const struct guest_mem *mem)
{
	int fd = make_file();
	struct stat st;

	assert_int_equal(guest_mem_save(mem, fd, false), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_true(st.st_size == (off_t)guest_mem_size(mem));
	return fd;
}

static uint64_t n_pages_of(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512 / PAGE;
}

static void check_file(int fd, uint64_t offset, int byte)
{
	uint8_t page[PAGE];

	assert_int_equal(file_read_at(fd, page, PAGE, offset), 0);
	for (unsigned int i = 0; i < PAGE; i++)
		if (page[i] != byte)
			fail_msg("byte %u at 0x%llx is %u", i, (unsigned long long)offset, page[i]);
}

/* A file as a snapshot has it: these pages of it are there, each full of its number. */
static int make_base(const uint64_t *pages, size_t n)
{
	int fd = make_file();

	assert_int_equal(ftruncate(fd, SIZE), 0);
	for (size_t i = 0; i < n; i++) {
		uint8_t page[PAGE];

		memset(page, (int)pages[i], PAGE);
		assert_int_equal(file_write_at(fd, page, PAGE, pages[i] * PAGE), 0);
	}
	return fd;
}

/* ---- memory of our own ---- */

static void test_anonymous(void **state)
{
	struct guest_mem mem;
	int fd;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fill(&mem, 0, 1);
	fill(&mem, 5 * PAGE, 5);
	fill(&mem, 6 * PAGE, 6);
	*page_at(&mem, 7 * PAGE) = 0;              /* touched, and zero */
	page_at(&mem, MIB(2))[PAGE - 1] = 9;       /* where pages may be huge */
	page_at(&mem, 513 * PAGE + MIB(2))[0] = 8; /* over the end of a piece */
	fill(&mem, SIZE - PAGE, 7);
	assert_false(is_made(&mem, 8 * PAGE));
	fd = save(&mem);
	assert_false(is_made(&mem, 8 * PAGE)); /* to look at it has made nothing */
	check_file(fd, 0, 1);
	check_file(fd, PAGE, 0);
	check_file(fd, 5 * PAGE, 5);
	check_file(fd, 6 * PAGE, 6);
	check_file(fd, 7 * PAGE, 0);
	check_file(fd, SIZE - PAGE, 7);
	assert_int_equal(n_pages_of(fd), 6);
	close(fd);
	guest_mem_fini(&mem);
}

static void test_nothing(void **state)
{
	struct guest_mem mem;
	int fd;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fd = save(&mem);
	assert_int_equal(n_pages_of(fd), 0);
	close(fd);
	guest_mem_fini(&mem);
}

/* Long runs, over pieces. */
static void test_everything(void **state)
{
	struct guest_mem mem;
	uint8_t page[PAGE];
	int fd;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	for (uint64_t i = 0; i < SIZE / PAGE; i++)
		fill(&mem, i * PAGE, (int)(i % 255 + 1));
	fd = save(&mem);
	assert_int_equal(n_pages_of(fd), SIZE / PAGE);
	for (uint64_t i = 0; i < SIZE / PAGE; i++) {
		assert_int_equal(file_read_at(fd, page, PAGE, i * PAGE), 0);
		assert_memory_equal(page, page_at(&mem, i * PAGE), PAGE);
	}
	close(fd);
	guest_mem_fini(&mem);
}

static void test_both_regions(void **state)
{
	struct guest_mem mem, copy;
	int fd;

	assert_int_equal(guest_mem_init(&mem, BOTH), 0);
	fill(&mem, GIB(3) - PAGE, 1);
	fill(&mem, GUEST_MEM_HIGH_BASE, 2);
	fill(&mem, GUEST_MEM_HIGH_BASE + MIB(4) - PAGE, 3);
	fd = save(&mem);
	guest_mem_fini(&mem);
	check_file(fd, GIB(3) - PAGE, 1);
	check_file(fd, GIB(3), 2);
	check_file(fd, BOTH - PAGE, 3);
	assert_int_equal(n_pages_of(fd), 3);
	assert_int_equal(guest_mem_init_saved(&copy, BOTH, fd), 0);
	check_page(&copy, GIB(3) - PAGE, 1);
	check_page(&copy, GUEST_MEM_HIGH_BASE, 2);
	check_page(&copy, GUEST_MEM_HIGH_BASE + PAGE, 0);
	check_page(&copy, GUEST_MEM_HIGH_BASE + MIB(4) - PAGE, 3);
	guest_mem_fini(&copy);
	close(fd);
}

/* As it is used: by a process that was forked, from a parent that goes on. */
static void test_in_a_child(void **state)
{
	struct guest_mem mem;
	int fd = make_file(), status, go[2];
	pid_t child;
	char byte = 0;

	assert_int_equal(pipe(go), 0);
	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fill(&mem, 3 * PAGE, 3);
	child = fork();
	if (!child)
		_exit(read(go[0], &byte, 1) != 1 || guest_mem_save(&mem, fd, false));
	fill(&mem, 3 * PAGE, 0x33);
	fill(&mem, 4 * PAGE, 4);
	guest_mem_give_back(&mem, page_at(&mem, 3 * PAGE), PAGE);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	check_file(fd, 3 * PAGE, 3);
	assert_int_equal(n_pages_of(fd), 1);
	close(go[0]);
	close(go[1]);
	close(fd);
	guest_mem_fini(&mem);
}

/* Pages of a kernel's file, which nobody has touched yet. */
static void test_mapped_kernel(void **state)
{
	static const uint64_t pages[] = { 1, 2, 4 };
	struct guest_mem mem;
	int kernel = make_base(pages, 3), fd;

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fill(&mem, MIB(1), 0x11);
	assert_int_equal(guest_mem_map_file(&mem, MIB(2), kernel, 0, 16 * PAGE), 0);
	fill(&mem, MIB(2) + 2 * PAGE, 0x22); /* what the guest has written over it */
	fd = save(&mem);
	check_file(fd, MIB(1), 0x11);
	check_file(fd, MIB(2), 0);
	check_file(fd, MIB(2) + PAGE, 1);
	check_file(fd, MIB(2) + 2 * PAGE, 0x22);
	check_file(fd, MIB(2) + 3 * PAGE, 0);
	check_file(fd, MIB(2) + 4 * PAGE, 4);
	assert_int_equal(n_pages_of(fd), 4);
	close(fd);
	close(kernel);
	guest_mem_fini(&mem);
}

/* Writes fail, as on a disk that is full. */
static void test_no_room(void **state)
{
	struct guest_mem mem;
	int fd = make_file();

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fill(&mem, MIB(4), 1);
	assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_WRITE), 0);
	assert_int_equal(guest_mem_save(&mem, fd, false), -EPERM);
	close(fd);
	fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
	assert_int_equal(guest_mem_save(&mem, fd, false), -EINVAL);
	close(fd);
	guest_mem_fini(&mem);
}

/* ---- a map of a file ---- */

static void test_map_of_a_file(void **state)
{
	static const uint64_t pages[] = { 1, 2, 100, 2047 };
	int base = make_base(pages, 4), fd;
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	assert_false(mem.is_shared);
	check_page(&mem, PAGE, 1);
	check_page(&mem, 100 * PAGE, 100);
	check_page(&mem, 3 * PAGE, 0);
	fill(&mem, 2 * PAGE, 0x22);  /* one that the file has */
	fill(&mem, 50 * PAGE, 0x50); /* and one that it has not */
	fill(&mem, 100 * PAGE, 0);   /* and one that is zero now */
	fd = save(&mem);
	check_file(fd, 0, 0);
	check_file(fd, PAGE, 1);
	check_file(fd, 2 * PAGE, 0x22);
	check_file(fd, 50 * PAGE, 0x50);
	check_file(fd, 100 * PAGE, 0);
	check_file(fd, 2047 * PAGE, 2047 & 0xff);
	assert_int_equal(n_pages_of(fd), 4);
	/* What was written is nobody else's. */
	check_file(base, 2 * PAGE, 2);
	check_file(base, 50 * PAGE, 0);
	guest_mem_fini(&mem);
	close(base);
	/* And again, from what was just saved. */
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, fd), 0);
	check_page(&mem, 2 * PAGE, 0x22);
	check_page(&mem, 50 * PAGE, 0x50);
	base = save(&mem);
	assert_int_equal(n_pages_of(base), 4);
	check_file(base, 50 * PAGE, 0x50);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

/* Its holes are not looked into: that would have a page made of each. */
static void test_holes_of_the_base(void **state)
{
	static const uint64_t pages[] = { 0, 1000 };
	int base = make_base(pages, 2), fd;
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	fd = save(&mem);
	assert_false(is_made(&mem, 500 * PAGE));
	assert_int_equal(n_pages_of(base), 2);
	assert_int_equal(n_pages_of(fd), 1); /* page 0 is full of zeros */
	check_file(fd, 1000 * PAGE, 1000 & 0xff);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

static void test_pages_given_back(void **state)
{
	static const uint64_t pages[] = { 1, 2, 3 };
	int base = make_base(pages, 3), fd;
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	fill(&mem, 2 * PAGE, 0x22);
	guest_mem_give_back(&mem, page_at(&mem, PAGE), 2 * PAGE);
	check_page(&mem, PAGE, 0);
	check_page(&mem, 2 * PAGE, 0);
	fd = save(&mem);
	check_file(fd, PAGE, 0);
	check_file(fd, 2 * PAGE, 0);
	check_file(fd, 3 * PAGE, 3);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

/* With the page behind it by which a snapshot's memory is known. */
static void test_short_file(void **state)
{
	int fd = make_file();
	struct guest_mem mem;

	assert_int_equal(ftruncate(fd, SIZE - 1), 0);
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, fd), -ENODATA);
	assert_int_equal(guest_mem_init_shared_saved(&mem, SIZE, fd), -ENODATA);
	assert_int_equal(ftruncate(fd, 0), 0);
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, fd), -ENODATA);
	assert_int_equal(ftruncate(fd, SIZE + 48), 0);
	assert_int_equal(guest_mem_init_saved(&mem, SIZE, fd), 0);
	guest_mem_fini(&mem);
	close(fd);
}

/* The guest begins anew: of what was saved nothing is left. */
static void test_reset(void **state)
{
	static const uint64_t pages[] = { 1, 600 };
	int base = make_base(pages, 2), fd;
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	fill(&mem, 5 * PAGE, 5);
	assert_int_equal(guest_mem_reset(&mem), 0);
	check_page(&mem, PAGE, 0);
	check_page(&mem, 5 * PAGE, 0);
	check_page(&mem, 600 * PAGE, 0);
	fill(&mem, 7 * PAGE, 7);
	fd = save(&mem);
	assert_int_equal(n_pages_of(fd), 1);
	check_file(fd, 7 * PAGE, 7);
	check_file(base, PAGE, 1);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

/* ---- what has changed alone ---- */

static bool is_data(int fd, uint64_t page)
{
	return lseek(fd, (off_t)(page * PAGE), SEEK_DATA) == (off_t)(page * PAGE);
}

/* What is as it was is a hole; what is zero now is not. */
static void test_changes(void **state)
{
	static const uint64_t pages[] = { 1, 2, 3, 4, 5 };
	int base = make_base(pages, 5), fd = make_file();
	struct guest_mem mem;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	check_page(&mem, PAGE, 1); /* looked at */
	fill(&mem, 2 * PAGE, 0x22);
	fill(&mem, 3 * PAGE, 0);
	guest_mem_give_back(&mem, page_at(&mem, 4 * PAGE), PAGE);
	guest_mem_give_back(&mem, page_at(&mem, 5 * PAGE) + 1, 2 * PAGE - 2); /* no whole page */
	fill(&mem, 700 * PAGE, 7);
	assert_int_equal(guest_mem_save(&mem, fd, true), 0);
	for (uint64_t page = 0; page < SIZE / PAGE; page++)
		assert_int_equal(
			is_data(fd, page), page == 2 || page == 3 || page == 4 || page == 700);
	check_file(fd, 2 * PAGE, 0x22);
	check_file(fd, 3 * PAGE, 0);
	check_file(fd, 4 * PAGE, 0);
	check_file(fd, 700 * PAGE, 7);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

/* A process that nobody may look into, not even its user, finds what has changed all the same. */
static void test_not_dumpable(void **state)
{
	static const uint64_t pages[] = { 1, 2 };
	int base = make_base(pages, 2), fd = make_file(), status;
	struct guest_mem mem;
	pid_t child;

	assert_int_equal(guest_mem_init_saved(&mem, SIZE, base), 0);
	fill(&mem, 2 * PAGE, 0x22);
	child = fork();
	if (!child) {
		(void)!setresuid(65534, 65534, 65534);
		prctl(PR_SET_DUMPABLE, 0);
		_exit(guest_mem_save(&mem, fd, true) || prctl(PR_GET_DUMPABLE));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	for (uint64_t page = 0; page < SIZE / PAGE; page++)
		assert_int_equal(is_data(fd, page), page == 2);
	guest_mem_fini(&mem);
	close(base);
	close(fd);
}

/* Of memory that is no map of a file all has changed. */
static void test_changes_since_nothing(void **state)
{
	struct guest_mem mem;
	int fd = make_file();

	assert_int_equal(guest_mem_init(&mem, SIZE), 0);
	fill(&mem, 2 * PAGE, 2);
	*page_at(&mem, 3 * PAGE) = 0;
	assert_int_equal(guest_mem_save(&mem, fd, true), 0);
	assert_int_equal(n_pages_of(fd), 1);
	check_file(fd, 2 * PAGE, 2);
	guest_mem_fini(&mem);
	close(fd);
}

/* ---- memory that others share ---- */

static void test_shared(void **state)
{
	struct guest_mem mem, copy;
	uint8_t page[PAGE];
	int fd, again;

	assert_int_equal(guest_mem_init_shared(&mem, SIZE), 0);
	fill(&mem, PAGE, 1);
	memset(page, 0x77, PAGE);
	assert_int_equal(file_write_at(mem.fd, page, PAGE, 700 * PAGE), 0); /* as a daemon does */
	fd = save(&mem);
	assert_int_equal(n_pages_of(mem.fd), 2);
	assert_int_equal(n_pages_of(fd), 2);
	check_file(fd, PAGE, 1);
	check_file(fd, 700 * PAGE, 0x77);
	guest_mem_fini(&mem);
	assert_int_equal(guest_mem_init_shared_saved(&copy, SIZE, fd), 0);
	assert_true(copy.is_shared);
	check_page(&copy, 700 * PAGE, 0x77);
	fill(&copy, PAGE, 0x11);
	check_file(copy.fd, PAGE, 0x11);
	check_file(fd, PAGE, 1);
	assert_int_equal(n_pages_of(copy.fd), 2);
	again = save(&copy);
	assert_int_equal(n_pages_of(again), 2);
	assert_int_equal(guest_mem_reset(&copy), 0);
	check_page(&copy, 700 * PAGE, 0);
	guest_mem_fini(&copy);
	close(again);
	close(fd);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_anonymous),
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_everything),
		cmocka_unit_test(test_both_regions),
		cmocka_unit_test(test_in_a_child),
		cmocka_unit_test(test_mapped_kernel),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_map_of_a_file),
		cmocka_unit_test(test_holes_of_the_base),
		cmocka_unit_test(test_pages_given_back),
		cmocka_unit_test(test_short_file),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_not_dumpable),
		cmocka_unit_test(test_changes_since_nothing),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
