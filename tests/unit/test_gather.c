// SPDX-License-Identifier: MIT
/* test_gather.c - files in huge pages */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/gather.h"
#include "skip.h"
#include "util/bits.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/mman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK MIB(2)
#define SIZE  (3 * BLOCK + 4096)

static uint8_t byte_at(uint64_t offset)
{
	return (uint8_t)(offset / 4096 + offset % 251 + 1);
}

/* Three blocks and a page; the second block has a hole in its middle. */
static void fill(int fd)
{
	uint8_t page[4096];

	assert_true(fd >= 0);
	for (uint64_t offset = 0; offset < SIZE; offset += sizeof(page)) {
		for (size_t i = 0; i < sizeof(page); i++)
			page[i] = byte_at(offset + i);
		if (offset != BLOCK + MIB(1))
			assert_int_equal(pwrite(fd, page, sizeof(page), (off_t)offset), 4096);
	}
}

static void assert_filled(int fd)
{
	uint8_t *data = malloc(SIZE);

	assert_non_null(data);
	assert_int_equal(pread(fd, data, SIZE, 0), SIZE);
	for (uint64_t i = 0; i < SIZE; i++)
		if (data[i] != (i / 4096 == (BLOCK + MIB(1)) / 4096 ? 0 : byte_at(i)))
			fail_msg("wrong byte at %" PRIu64, i);
	free(data);
}

static uint64_t disk_use(int fd)
{
	struct stat st;

	assert_int_equal(fstat(fd, &st), 0);
	return (uint64_t)st.st_blocks * 512;
}

/* The file, mapped where huge pages can be. */
static uint8_t *map(int fd)
{
	uint8_t *room = mmap(NULL, SIZE + BLOCK, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	uint8_t *view = room + (-(uintptr_t)room & (BLOCK - 1));

	assert_true(room != MAP_FAILED);
	assert_true(mmap(view, SIZE, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) == view);
	return view;
}

/* Touch it all, and count the KiB that lie in huge pages. */
static unsigned long huge_kib(int fd)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	uint8_t *view = map(fd);
	unsigned long kib, sum = 0;
	bool inside = false;
	char line[512];

	assert_non_null(maps);
	for (uint64_t offset = 0; offset < SIZE; offset += 4096)
		(void)*(volatile uint8_t *)(view + offset);
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			inside = (uintptr_t)view >= start && (uintptr_t)view < end;
		else if (inside && sscanf(line, "ShmemPmdMapped: %lu", &kib) == 1)
			sum += kib;
	}
	fclose(maps);
	munmap(view, SIZE);
	return sum;
}

/* Whether this host can do it at all; Linux 6.1 does it and may then say that it did not. */
static bool host_can(void)
{
	int fd = memfd_create("probe", MFD_CLOEXEC);
	uint8_t *view;
	bool can;

	fill(fd);
	view = map(fd);
	(void)madvise(view, BLOCK, MADV_COLLAPSE);
	munmap(view, SIZE);
	can = huge_kib(fd) > 0;
	close(fd);
	return can;
}

static void test_in_memory(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);
	uint64_t use;

	fill(fd);
	use = disk_use(fd);
	gather_pages(fd, SIZE);
	assert_filled(fd);
	assert_int_equal(disk_use(fd), use);
	if (!host_can()) {
		close(fd);
		skip_because("this kernel gathers no pages of files: MADV_COLLAPSE");
	}
	assert_int_equal(huge_kib(fd), 2 * BLOCK / 1024);
	close(fd);
}

/* Whatever the file system can: nothing changes that a reader sees. */
static void test_on_disk(void **state)
{
	char path[] = "/tmp/pronto-gather-XXXXXX";
	int fd = mkstemp(path);

	fill(fd);
	assert_int_equal(unlink(path), 0);
	gather_pages(fd, SIZE);
	assert_filled(fd);
	close(fd);
}

static void test_small(void **state)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_int_equal(ftruncate(fd, 1), 0);
	gather_pages(fd, 1);
	assert_int_equal(lseek(fd, 0, SEEK_END), 1);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_in_memory),
		cmocka_unit_test(test_on_disk),
		cmocka_unit_test(test_small),
	};

	return cmocka_run_group_tests_name("gather", tests, NULL, NULL);
}
