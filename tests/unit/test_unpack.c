// SPDX-License-Identifier: MIT
/* test_unpack.c - decompression: the very bytes come out, and never too many */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/unpack.h"
#include "kernels.h"
#include "util/bits.h"

#include <elf.h>
#include <sys/mman.h>

static const struct {
	const char *name;
	enum image_compression compression;
} formats[] = {
	{ "gzip", IMAGE_GZIP },
	{ "xz", IMAGE_XZ },
	{ "lzma", IMAGE_LZMA },
	{ "bzip2", IMAGE_BZIP2 },
	{ "lz4", IMAGE_LZ4 },
	{ "lz4-frame", IMAGE_LZ4 },
	{ "zstd", IMAGE_ZSTD },
};

static const char *const names[] = { "elf-big", "elf-9m", "elf64-entry-8", "bare-lz4-9m",
	"bare-gzip-big", "bare-xz-big", "bare-lzma-big", "bare-bzip2-big", "bare-lz4-big",
	"bare-lz4-frame-big", "bare-zstd-big", "bare-gzip-in-pieces", "bare-xz-in-pieces",
	"bare-lzma-in-pieces", "bare-bzip2-in-pieces", "bare-lz4-in-pieces",
	"bare-lz4-frame-in-pieces", "bare-zstd-in-pieces", "elf-holes", "bare-gzip-holes",
	"bare-xz-holes", "bare-lzma-holes", "bare-bzip2-holes", "bare-lz4-holes",
	"bare-lz4-frame-holes", "bare-zstd-holes", "bare-zstd-bomb", "bare-lz4-bomb",
	"bare-bzip2-bomb", "bare-zstd-sections-near-32", "bare-zstd-sections-near-64",
	"bare-zstd-sections-far-32", "bare-zstd-sections-far-64", NULL };

static void init_job(struct unpack_job *job, const char *name, enum image_compression *compression)
{
	uint8_t head[UNPACK_HEAD];
	uint64_t size;
	int fd = kernels_open(name, &size);

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, head, sizeof(head), 0), sizeof(head));
	*compression = unpack_identify(head, sizeof(head));
	*job = (struct unpack_job){ .in_fd = fd, .in_size = size, .max_size = GIB(1) };
	job->out_fd = memfd_create("out", MFD_CLOEXEC);
	assert_true(job->out_fd >= 0);
}

static void fini_job(struct unpack_job *job)
{
	close(job->in_fd);
	close(job->out_fd);
}

static void check_same(int fd, uint64_t size, const char *name)
{
	static char ours[65536], theirs[65536];
	uint64_t want, at;
	int ref = kernels_open(name, &want);

	assert_int_equal(size, want);
	for (at = 0; at < size; at += sizeof(ours)) {
		ssize_t n = pread(fd, ours, sizeof(ours), (off_t)at);

		assert_true(n > 0);
		assert_int_equal(pread(ref, theirs, sizeof(theirs), (off_t)at), n);
		assert_memory_equal(ours, theirs, (size_t)n);
	}
	close(ref);
}

static void check_unpacks(const char *packed, enum image_compression want, const char *plain)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;

	init_job(&job, packed, &compression);
	assert_int_equal(compression, want);
	if (unpack(compression, &job, &diag))
		fail_msg("%s: %s", packed, diag.text);
	check_same(job.out_fd, job.out_size, plain);
	fini_job(&job);
}

static void test_contents(void **state)
{
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(name, sizeof(name), "bare-%s-big", formats[i].name);
		check_unpacks(name, formats[i].compression, "elf-big");
		snprintf(name, sizeof(name), "bare-%s-in-pieces", formats[i].name);
		check_unpacks(name, formats[i].compression, "elf64-entry-8");
	}
	check_unpacks("bare-lz4-9m", IMAGE_LZ4, "elf-9m");
}

/* Zeros are holes, at the end too; the file is as long as ever. */
static void test_holes(void **state)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;
	struct stat st;
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(name, sizeof(name), "bare-%s-holes", formats[i].name);
		init_job(&job, name, &compression);
		assert_int_equal(unpack(compression, &job, &diag), 0);
		check_same(job.out_fd, job.out_size, "elf-holes");
		assert_int_equal(fstat(job.out_fd, &st), 0);
		assert_int_equal(st.st_size, job.out_size);
		assert_true((uint64_t)st.st_blocks * 512 < job.out_size / 2);
		fini_job(&job);
	}
}

/* As much as is allowed, and one byte more. */
static void test_limit(void **state)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;
	uint64_t size;
	char name[64];

	close(kernels_open("elf-big", &size));
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		snprintf(name, sizeof(name), "bare-%s-big", formats[i].name);
		init_job(&job, name, &compression);
		job.max_total = size;
		assert_int_equal(unpack(compression, &job, &diag), 0);
		job.max_total = size - 1;
		assert_int_equal(unpack(compression, &job, &diag), -EFBIG);
		assert_true(job.out_size <= job.max_total);
		fini_job(&job);
	}
}

/* The payload ends within the file: what follows is not touched, what lies before neither. */
static void test_range(void **state)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;

	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		char name[64];

		snprintf(name, sizeof(name), "bare-%s-big", formats[i].name);
		init_job(&job, name, &compression);
		job.in_size--;
		assert_true(unpack(compression, &job, &diag) < 0);
		job.in_offset = 1;
		assert_int_equal(unpack(compression, &job, &diag), -ENOEXEC);
		job.in_size = 0;
		assert_int_equal(unpack(compression, &job, &diag), -ENOEXEC);
		fini_job(&job);
	}
}

/* Nothing is kept but what is loaded, however much there is. */
static void test_bombs(void **state)
{
	static const char *const bombs[] = { "bare-zstd-bomb", "bare-lz4-bomb", "bare-bzip2-bomb" };
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;
	uint64_t size;

	close(kernels_open("elf64-entry-8", &size));
	for (size_t i = 0; i < ARRAY_SIZE(bombs); i++) {
		init_job(&job, bombs[i], &compression);
		assert_int_equal(unpack(compression, &job, &diag), 0);
		check_same(job.out_fd, job.out_size, "elf64-entry-8");
		fini_job(&job);
	}
}

static void check_sections(const char *name, bool is_64, uint64_t offset)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;

	init_job(&job, name, &compression);
	assert_int_equal(unpack(compression, &job, &diag), 0);
	assert_int_equal(pread(job.out_fd, &wide, sizeof(wide), 0), sizeof(wide));
	assert_int_equal(pread(job.out_fd, &narrow, sizeof(narrow), 0), sizeof(narrow));
	assert_int_equal(is_64 ? wide.e_shoff : narrow.e_shoff, offset);
	assert_int_equal(is_64 ? wide.e_shnum : narrow.e_shnum, offset ? 4 : 0);
	assert_int_equal(is_64 ? wide.e_shstrndx : narrow.e_shstrndx, offset ? 1 : 0);
	if (offset)
		assert_int_equal(job.out_size,
			offset + 4 * (is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr)));
	else
		assert_true(job.out_size < 4096);
	fini_job(&job);
}

/* Those that are left out are not promised either. */
static void test_sections(void **state)
{
	check_sections("bare-zstd-sections-near-32", false, MIB(8));
	check_sections("bare-zstd-sections-near-64", true, MIB(8));
	check_sections("bare-zstd-sections-far-32", false, 0);
	check_sections("bare-zstd-sections-far-64", true, 0);
}

static void test_output_fails(void **state)
{
	enum image_compression compression;
	struct diag diag = { "" };
	struct unpack_job job;

	init_job(&job, "bare-gzip-big", &compression);
	close(job.out_fd);
	job.out_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	assert_int_equal(unpack(compression, &job, &diag), -ENOSPC);
	assert_int_equal(job.out_err, -ENOSPC);
	fini_job(&job);
}

static void test_identify(void **state)
{
	assert_int_equal(unpack_identify((const uint8_t *)"", 0), IMAGE_NONE);
	assert_int_equal(unpack_identify((const uint8_t *)"\x1f", 1), IMAGE_NONE);
	assert_int_equal(unpack_identify((const uint8_t *)"\x1f\x8b", 2), IMAGE_GZIP);
	assert_int_equal(unpack_identify((const uint8_t *)"\x7f"
							  "ELF",
				 4),
		IMAGE_NONE);
	assert_int_equal(unpack_identify((const uint8_t *)"\x89LZO\0\r\n\x1a\n", 9), IMAGE_LZO);
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
		cmocka_unit_test(test_identify),
		cmocka_unit_test(test_contents),
		cmocka_unit_test(test_holes),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_range),
		cmocka_unit_test(test_bombs),
		cmocka_unit_test(test_sections),
		cmocka_unit_test(test_output_fails),
	};

	return cmocka_run_group_tests_name("unpack", tests, setup, teardown);
}
