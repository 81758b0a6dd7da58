// SPDX-License-Identifier: MIT
/* test_guest_mem.c - guest RAM: layout, the gate, copying, files */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "mem/guest_mem.h"
#include "skip.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

static struct guest_mem make(uint64_t size)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init(&mem, size), 0);
	return mem;
}

/* A file of n pages; every byte is its page's number plus one. */
static int make_file(size_t n_pages)
{
	int fd = memfd_create("test", 0);

	assert_true(fd >= 0);
	for (size_t i = 0; i < n_pages; i++) {
		char page[4096];

		memset(page, (int)i + 1, sizeof(page));
		assert_int_equal(write(fd, page, sizeof(page)), sizeof(page));
	}
	return fd;
}

static void test_regions(void **state)
{
	static const struct {
		uint64_t size, low, high;
	} row[] = {
		{ KIB(4), KIB(4), 0 },
		{ MIB(32), MIB(32), 0 },
		{ GIB(3), GIB(3), 0 },
		{ GIB(3) + KIB(4), GIB(3), KIB(4) },
		{ GIB(5), GIB(3), GIB(2) },
		{ GIB(64), GIB(3), GIB(61) },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct guest_mem mem = make(row[i].size);

		assert_int_equal(mem.n_regions, row[i].high ? 2 : 1);
		assert_int_equal(mem.region[0].gpa, 0);
		assert_int_equal(mem.region[0].size, row[i].low);
		assert_int_equal(mem.region[1].size, row[i].high);
		if (row[i].high)
			assert_int_equal(mem.region[1].gpa, GIB(4));
		for (size_t k = 0; k < mem.n_regions; k++) {
			const struct mem_region *r = &mem.region[k];

			assert_int_equal(((uintptr_t)r->hva - r->gpa) % MIB(2), 0);
			assert_int_equal(r->hva[0], 0);
			assert_int_equal(r->hva[r->size - 1], 0);
			r->hva[r->size - 1] = 1;
		}
		guest_mem_fini(&mem);
		assert_int_equal(mem.n_regions, 0);
	}
}

static void test_too_large(void **state)
{
	struct guest_mem mem;

	assert_int_equal(guest_mem_init(&mem, 1ull << 62), -ENOMEM);
	assert_int_equal(guest_mem_init(&mem, UINT64_MAX - 4095), -ENOMEM);
}

/* Of this process's address space; to look allocates nothing. */
static uint64_t mapped_size(void)
{
	char text[128] = "";
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);

	assert_true(read(fd, text, sizeof(text) - 1) > 0);
	close(fd);
	return strtoull(text, NULL, 10) * 4096;
}

/* What guest_mem_init() does where the host allows so much more. */
static int init_limited(
	struct guest_mem *mem, uint64_t size, __rlimit_resource_t resource, uint64_t limit)
{
	struct rlimit before, less;
	int ret;

	assert_int_equal(getrlimit(resource, &before), 0);
	less = (struct rlimit){ .rlim_cur = limit, .rlim_max = before.rlim_max };
	assert_int_equal(setrlimit(resource, &less), 0);
	ret = guest_mem_init(mem, size);
	assert_int_equal(setrlimit(resource, &before), 0);
	return ret;
}

/* Failing leaves nothing: no room for the second region, and no pages for a region with room. */
static void test_failure_leaves_nothing(void **)
{
	struct guest_mem mem;
	uint64_t mapped = mapped_size();

#ifdef WITH_ASAN
	/* For what is unmapped its runtime makes a mapping; if it may not, it ends the process. */
	skip_because("AddressSanitizer ends a process that may not map more");
#endif
	assert_int_equal(init_limited(&mem, GIB(5), RLIMIT_AS, mapped + GIB(4)), -ENOMEM);
	assert_int_equal(mem.n_regions, 0);
	assert_int_equal(mapped_size(), mapped);
	assert_int_equal(init_limited(&mem, GIB(5), RLIMIT_DATA, MIB(1)), -ENOMEM);
	assert_int_equal(mem.n_regions, 0);
	assert_int_equal(mapped_size(), mapped);
}

static uint64_t host_pages_of(const struct guest_mem *mem)
{
	uint64_t n = 0, pages = mem->region[0].size / 4096;
	unsigned char *vec = malloc(pages);

	assert_non_null(vec);
	assert_int_equal(mincore(mem->region[0].hva, mem->region[0].size, vec), 0);
	for (uint64_t i = 0; i < pages; i++)
		n += vec[i] & 1;
	free(vec);
	return n;
}

static void test_untouched(void **state)
{
	struct guest_mem mem = make(MIB(64));

	assert_int_equal(host_pages_of(&mem), 0);
	mem.region[0].hva[0x80000] = 1;
	assert_int_equal(host_pages_of(&mem), 1); /* not a huge page */
	guest_mem_fini(&mem);
}

static void test_gate(void **state)
{
	struct guest_mem mem = make(GIB(5));
	uint8_t *low = mem.region[0].hva, *high = mem.region[1].hva;

	assert_ptr_equal(guest_mem_at(&mem, 0, 1), low);
	assert_ptr_equal(guest_mem_at(&mem, 0, GIB(3)), low);
	assert_ptr_equal(guest_mem_at(&mem, GIB(3) - 1, 1), low + GIB(3) - 1);
	assert_null(guest_mem_at(&mem, 0, GIB(3) + 1));
	assert_null(guest_mem_at(&mem, GIB(3) - 1, 2));
	assert_null(guest_mem_at(&mem, GIB(3), 1));
	assert_null(guest_mem_at(&mem, GIB(4) - 1, 1));
	assert_null(guest_mem_at(&mem, GIB(4) - 1, 2));
	assert_ptr_equal(guest_mem_at(&mem, GIB(4), GIB(2)), high);
	assert_ptr_equal(guest_mem_at(&mem, GIB(6) - 1, 1), high + GIB(2) - 1);
	assert_null(guest_mem_at(&mem, GIB(6) - 1, 2));
	assert_null(guest_mem_at(&mem, GIB(6), 1));
	guest_mem_fini(&mem);
}

static void test_gate_does_not_wrap(void **state)
{
	static const uint64_t size[] = { 32, 5 * 1024 };

	for (size_t i = 0; i < ARRAY_SIZE(size); i++) {
		struct guest_mem mem = make(MIB(size[i]));

		assert_null(guest_mem_at(&mem, 0, UINT64_MAX));
		assert_null(guest_mem_at(&mem, 1, UINT64_MAX));
		assert_null(guest_mem_at(&mem, 4096, UINT64_MAX - 4095));
		assert_null(guest_mem_at(&mem, GIB(4), UINT64_MAX - GIB(4) + 1));
		assert_null(guest_mem_at(&mem, UINT64_MAX, 1));
		assert_null(guest_mem_at(&mem, UINT64_MAX, 2));
		assert_null(guest_mem_at(&mem, UINT64_MAX - 4095, 4096));
		guest_mem_fini(&mem);
	}
}

static void test_write(void **state)
{
	struct guest_mem mem = make(KIB(8));
	char data[8] = "pronto!";

	assert_int_equal(guest_mem_write(&mem, KIB(8) - 8, data, 8), 0);
	assert_memory_equal(guest_mem_at(&mem, KIB(8) - 8, 8), data, 8);
	assert_int_equal(guest_mem_write(&mem, KIB(8) - 7, data, 8), -EFAULT);
	guest_mem_fini(&mem);
}

static void test_map_file(void **state)
{
	struct guest_mem mem = make(MIB(4));
	int fd = make_file(3);
	uint8_t *ram = mem.region[0].hva;
	char byte;

	assert_int_equal(guest_mem_map_file(&mem, MIB(2), fd, 4096, 8192), 0);
	assert_int_equal(ram[MIB(2) - 1], 0);
	assert_int_equal(ram[MIB(2)], 2);
	assert_int_equal(ram[MIB(2) + 8191], 3);
	assert_int_equal(ram[MIB(2) + 8192], 0);

	/* The guest's writes are its own. */
	ram[MIB(2)] = 77;
	assert_int_equal(pread(fd, &byte, 1, 4096), 1);
	assert_int_equal(byte, 2);

	assert_int_equal(guest_mem_map_file(&mem, MIB(2), fd, 4096, 12288), -ENODATA);
	assert_int_equal(guest_mem_map_file(&mem, MIB(4) - 4096, fd, 0, 8192), -EFAULT);
	close(fd);
	guest_mem_fini(&mem);
}

/* Fresh again, what a file was mapped over too, and at the same place. */
static void test_reset(void **state)
{
	struct guest_mem mem = make(GIB(3) + MIB(4)), before = mem;
	static const gpa_t marks[] = { 0, 4095, MIB(3), GIB(3) - 1, GUEST_MEM_HIGH_BASE,
		GUEST_MEM_HIGH_BASE + MIB(4) - 1 };
	int fd = make_file(2);

	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		*(uint8_t *)guest_mem_at(&mem, marks[i], 1) = 7;
	assert_int_equal(guest_mem_map_file(&mem, MIB(2), fd, 0, 8192), 0);
	assert_int_equal(guest_mem_reset(&mem), 0);
	assert_memory_equal(&mem, &before, sizeof(mem));
	assert_int_equal(host_pages_of(&mem), 0);
	for (size_t i = 0; i < ARRAY_SIZE(marks); i++)
		assert_int_equal(*(uint8_t *)guest_mem_at(&mem, marks[i], 1), 0);
	assert_int_equal(*(uint8_t *)guest_mem_at(&mem, MIB(2), 1), 0);
	close(fd);
	guest_mem_fini(&mem);
}

/* Copy the VmFlags line of the mapping around `at` in this process. */
static void flags_of(const void *at, char *flags, size_t size)
{
	FILE *maps = fopen("/proc/self/smaps", "r");
	bool inside = false;
	char line[512];

	assert_non_null(maps);
	flags[0] = 0;
	while (fgets(line, sizeof(line), maps)) {
		uintptr_t start, end;

		if (sscanf(line, "%" SCNxPTR "-%" SCNxPTR " ", &start, &end) == 2)
			inside = (uintptr_t)at >= start && (uintptr_t)at < end;
		else if (inside && !strncmp(line, "VmFlags:", 8))
			snprintf(flags, size, "%s", line);
	}
	fclose(maps);
	assert_true(flags[0]);
}

static void test_advice(void **state)
{
	struct guest_mem mem = make(GIB(4));
	bool thp = !access("/sys/kernel/mm/transparent_hugepage/enabled", F_OK);
	static const uint64_t where[] = { 0, MIB(2) - 1, MIB(2), GIB(3) - 1, GIB(4), GIB(5) - 1 };
	int fd = make_file(3);
	char flags[512];

	for (size_t i = 0; i < ARRAY_SIZE(where); i++) {
		flags_of(guest_mem_at(&mem, where[i], 1), flags, sizeof(flags));
		assert_non_null(strstr(flags, " dd"));
		assert_non_null(strstr(flags, " nr"));
		if (thp)
			assert_int_equal(strstr(flags, " hg") != NULL, where[i] >= MIB(2));
	}
	assert_int_equal(guest_mem_map_file(&mem, MIB(1), fd, 0, 8192), 0);
	close(fd);
	flags_of(guest_mem_at(&mem, MIB(1), 1), flags, sizeof(flags));
	assert_non_null(strstr(flags, " dd"));
	assert_int_equal(strstr(flags, " hg") != NULL, thp);
	guest_mem_fini(&mem);
}

/* Whole pages inside the range, on both sides of the hole. */
static void test_merge(void **state)
{
	static const struct {
		uint64_t gpa;
		bool merge;
	} row[] = { { MIB(8) + KIB(4) - 1, false }, { MIB(8) + KIB(4), true },
		{ MIB(8) + KIB(12) - 1, true }, { MIB(8) + KIB(12), false }, { GIB(4), true } };
	struct guest_mem mem = make(GIB(4));

	assert_int_equal(guest_mem_merge(&mem, MIB(8), GIB(3)), -EFAULT);
	if (access("/sys/kernel/mm/ksm", F_OK)) {
		assert_int_equal(guest_mem_merge(&mem, GIB(4), GIB(1)), -EINVAL);
		guest_mem_fini(&mem);
		skip_because("this kernel merges no pages: CONFIG_KSM");
	}
	assert_int_equal(guest_mem_merge(&mem, MIB(8) + 1, KIB(16) - 2), 0);
	assert_int_equal(guest_mem_merge(&mem, MIB(16) + 1, KIB(8) - 2), 0);
	assert_int_equal(guest_mem_merge(&mem, MIB(24) + 1, 1), 0);
	assert_int_equal(guest_mem_merge(&mem, GIB(4), GIB(1)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		char flags[512];

		flags_of(guest_mem_at(&mem, row[i].gpa, 1), flags, sizeof(flags));
		assert_int_equal(strstr(flags, " mg") != NULL, row[i].merge);
	}
	guest_mem_fini(&mem);
}

/* Another mapping of the file, as another process has it. */
static uint8_t *others_view(const struct guest_mem *mem, unsigned int region)
{
	const struct mem_region *r = &mem->region[region];
	void *view = mmap(NULL, MIB(4), PROT_READ | PROT_WRITE, MAP_SHARED, mem->fd,
		(off_t)(r->offset + r->size - MIB(4)));

	assert_ptr_not_equal(view, MAP_FAILED);
	return view;
}

static void test_shared(void **)
{
	struct guest_mem mem;
	uint8_t *view[2];
	char flags[512];

	assert_int_equal(guest_mem_init_shared(&mem, 1ull << 63), -ENOMEM);
	assert_int_equal(guest_mem_init_shared(&mem, GIB(4)), 0);
	assert_int_equal(mem.n_regions, 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct mem_region *r = &mem.region[i];

		assert_int_equal(((uintptr_t)r->hva - r->gpa) % MIB(2), 0);
		assert_int_equal(((uintptr_t)r->hva - r->offset) % MIB(2), 0);
		flags_of(r->hva, flags, sizeof(flags));
		assert_non_null(strstr(flags, " sh"));
		assert_non_null(strstr(flags, " dd"));
		view[i] = others_view(&mem, i);
		assert_int_equal(r->hva[r->size - 1], 0);
		r->hva[r->size - 1] = 5;
		assert_int_equal(view[i][MIB(4) - 1], 5);
		view[i][MIB(4) - 1] = 6;
		assert_int_equal(r->hva[r->size - 1], 6);
	}
	/* Who has the file cannot take it away from under us. */
	assert_int_equal(ftruncate(mem.fd, 0), -1);
	assert_int_equal(fcntl(mem.fd, F_ADD_SEALS, F_SEAL_WRITE), -1);
	assert_int_equal(guest_mem_reset(&mem), 0);
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(view[i][MIB(4) - 1], 0);
		assert_int_equal(mem.region[i].hva[mem.region[i].size - 1], 0);
		view[i][0] = 7;
		assert_int_equal(mem.region[i].hva[mem.region[i].size - MIB(4)], 7);
		munmap(view[i], MIB(4));
	}
	guest_mem_fini(&mem);
	assert_int_equal(mem.n_regions, 0);
}

/* What a kernel's file has is seen by others, too. */
static void test_shared_map(void **)
{
	int fd = make_file(3);
	struct guest_mem mem;
	uint8_t *view;

	assert_int_equal(guest_mem_init_shared(&mem, MIB(4)), 0);
	assert_int_equal(guest_mem_map_file(&mem, MIB(2), fd, 4096, 8192), 0);
	view = others_view(&mem, 0);
	assert_int_equal(view[MIB(2)], 2);
	assert_int_equal(view[MIB(2) + 8191], 3);
	guest_mem_give_back(&mem, guest_mem_at(&mem, MIB(2), 4096), 4096);
	assert_int_equal(view[MIB(2)], 0);
	assert_int_equal(view[MIB(2) + 4096], 3);
	munmap(view, MIB(4));
	assert_int_equal(guest_mem_map_file(&mem, MIB(2), fd, 4096, 12288), -ENODATA);
	close(fd);
	guest_mem_fini(&mem);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_regions),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_shared),
		cmocka_unit_test(test_shared_map),
		cmocka_unit_test(test_failure_leaves_nothing),
		cmocka_unit_test(test_untouched),
		cmocka_unit_test(test_gate),
		cmocka_unit_test(test_gate_does_not_wrap),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_map_file),
		cmocka_unit_test(test_reset),
		cmocka_unit_test(test_advice),
		cmocka_unit_test(test_merge),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
