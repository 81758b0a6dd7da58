// SPDX-License-Identifier: MIT
/* test_cache.c - unpacked kernels: found, made, thrown out, rebuilt */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache_rig.h"
#include "image/cache.h"
#include "util/bits.h"

#include <sys/file.h>
#include <time.h>

static const char *const names[] = { "bare-gzip-big", "bzimage-lz4", "bzimage-xz", "elf64-entry-8",
	"bzimage-gzip-damaged", NULL };

static void test_hit(void **state)
{
	struct stat st, source;
	char path[PATH_MAX];

	assert_false(open_kernel("bare-gzip-big"));
	assert_true(open_kernel("bare-gzip-big"));
	assert_int_equal(count_entries(path, sizeof(path)), 1);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | 0400);
	assert_int_equal(stat(kernels_path("bare-gzip-big"), &source), 0);
	assert_int_equal(st.st_mtim.tv_nsec, source.st_mtim.tv_nsec);
	assert_int_equal(stat(cache_dir(), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0700);
	assert_false(open_kernel("bzimage-lz4"));
	assert_true(open_kernel("bare-gzip-big"));
	assert_int_equal(count_entries(NULL, 0), 2);
}

static void test_changed_source(void **state)
{
	int fd;

	assert_false(open_kernel("bare-gzip-big"));
	/* The same contents, as bytes go, but written anew. */
	fd = open(kernels_path("bare-gzip-big"), O_WRONLY | O_CLOEXEC);
	assert_int_equal(pwrite(fd, "\x1f", 1, 0), 1);
	close(fd);
	assert_false(open_kernel("bare-gzip-big"));
	assert_true(open_kernel("bare-gzip-big"));
}

static void damage_cut(const char *path)
{
	assert_int_equal(truncate(path, 100), 0);
}

static void damage_empty(const char *path)
{
	assert_int_equal(truncate(path, 0), 0);
}

static void damage_one_byte(const char *path)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	assert_int_equal(pwrite(fd, "X", 1, 4096), 1);
	close(fd);
}

/* With the time put back, as a power failure may leave it: the ELF is not whole. */
static void damage_cut_unseen(const char *path)
{
	struct timespec times[2];
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(truncate(path, 4096), 0);
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	assert_int_equal(utimensat(AT_FDCWD, path, times, 0), 0);
}

static void damage_link(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink(kernels_path("elf64-entry-8"), path), 0);
}

static void damage_mode(const char *path)
{
	assert_int_equal(chmod(path, 0666), 0);
}

static void damage_fifo(const char *path)
{
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0600), 0);
}

static void test_damaged_entry(void **state)
{
	static void (*const damage[])(const char *) = { damage_cut, damage_empty, damage_one_byte,
		damage_cut_unseen, damage_link, damage_mode, damage_fifo };
	char path[PATH_MAX];

	assert_false(open_kernel("bare-gzip-big"));
	for (size_t i = 0; i < ARRAY_SIZE(damage); i++) {
		assert_int_equal(count_entries(path, sizeof(path)), 1);
		assert_int_equal(chmod(path, 0600), 0);
		damage[i](path);
		assert_false(open_kernel("bare-gzip-big"));
		assert_true(open_kernel("bare-gzip-big"));
	}
}

/* What cannot be removed cannot be replaced either; the kernel still boots. */
static void test_entry_is_a_directory(void **state)
{
	char path[PATH_MAX];
	struct image image;
	struct diag diag;

	assert_false(open_kernel("bzimage-xz"));
	assert_int_equal(count_entries(path, sizeof(path)), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), true, &diag), 0);
	assert_false(image.from_cache);
	image_close(&image);
}

static void test_failure_leaves_nothing(void **state)
{
	struct image image;
	struct diag diag;

	assert_int_equal(
		image_open(&image, kernels_path("bzimage-gzip-damaged"), true, &diag), -ENOEXEC);
	assert_int_equal(count_entries(NULL, 0), 0);
}

static void test_no_place(void **state)
{
	struct image image;
	struct diag diag;

	unsetenv("XDG_CACHE_HOME");
	unsetenv("HOME");
	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), true, &diag), 0);
	assert_true(image.owned_file);
	assert_false(image.from_cache);
	image_close(&image);
	setenv("XDG_CACHE_HOME", "relative/path", 1);
	setenv("HOME", kernels_path("home"), 1);
	assert_false(open_kernel("bzimage-xz"));
	assert_true(open_kernel("bzimage-xz"));
	assert_int_equal(access(kernels_path("home/.cache/pronto"), F_OK), 0);
}

/* Nobody reads or writes it, not even by the descriptor: so it can be mapped. */
static void test_no_cache(void **state)
{
	struct image image;
	struct diag diag;

	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), false, &diag), 0);
	assert_true(image.owned_file);
	assert_false(image.from_cache);
	assert_int_equal(pwrite(image.fd, "X", 1, 0), -1);
	assert_int_equal(ftruncate(image.fd, 0), -1);
	image_close(&image);
	assert_int_equal(count_entries(NULL, 0), 0);
}

/* ---- several at once ---- */

#define N_STARTS 8

static void test_concurrent_starts(void **state)
{
	int status, n_unpacked = 0;
	pid_t pid[N_STARTS];

	for (int i = 0; i < N_STARTS; i++) {
		pid[i] = fork();
		if (!pid[i])
			_exit(open_kernel("bare-gzip-big") ? 0 : 1);
		assert_true(pid[i] > 0);
	}
	for (int i = 0; i < N_STARTS; i++) {
		assert_int_equal(waitpid(pid[i], &status, 0), pid[i]);
		assert_true(WIFEXITED(status) && WEXITSTATUS(status) <= 1);
		n_unpacked += WEXITSTATUS(status);
	}
	assert_int_equal(n_unpacked, 1);
	assert_int_equal(count_entries(NULL, 0), 1);
}

static void locate(struct cache *cache, const char *name)
{
	struct stat st;

	assert_int_equal(stat(kernels_path(name), &st), 0);
	assert_true(cache_locate(cache, &st));
}

static void begin(struct cache *cache, const char *name, bool always_name)
{
	struct diag diag = { "" };

	locate(cache, name);
	cache->always_name = always_name;
	if (cache_begin(cache, &diag) || cache_create(cache, &diag))
		fail_msg("%s", diag.text);
}

/* Two that did not wait for one another: the first one's entry stays. */
static void test_second_comes_late(void **state)
{
	struct cache first, second;
	struct diag diag;
	uint64_t size;
	int fd;

	for (int always_name = 0; always_name < 2; always_name++) {
		begin(&first, "elf64-entry-8", always_name);
		assert_int_equal(flock(first.dir_fd, LOCK_UN), 0);
		begin(&second, "elf64-entry-8", always_name);
		assert_int_equal(write(first.file.fd, "first", 5), 5);
		assert_int_equal(write(second.file.fd, "second", 6), 6);
		assert_int_equal(cache_publish(&first, 5, &diag), 0);
		assert_int_equal(cache_publish(&second, 6, &diag), 0);
		cache_end(&first);
		cache_end(&second);
		assert_int_equal(cache_open(&first, &diag), 0);
		fd = cache_find(&first, &size);
		assert_true(fd >= 0);
		assert_int_equal(size, 5);
		close(fd);
		assert_int_equal(count_entries(NULL, 0), 1);
		cache_drop(&first);
		assert_int_equal(cache_find(&first, &size), -1);
		cache_end(&first);
	}
}

/* Where unnamed files exist, not even a killed process leaves one; elsewhere it is swept up. */
static void test_crash(void **state)
{
	struct timespec old[2] = { { .tv_sec = 1000 }, { .tv_sec = 1000 } };
	struct cache cache;
	char path[PATH_MAX];
	int status;

	for (int always_name = 0; always_name < 2; always_name++) {
		pid_t pid = fork();

		if (!pid) {
			begin(&cache, "elf64-entry-8", always_name);
			_exit(0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
		assert_int_equal(count_entries(path, sizeof(path)), always_name);
	}
	assert_false(open_kernel("bzimage-lz4"));
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(utimensat(AT_FDCWD, path, old, 0), 0);
	assert_false(open_kernel("bzimage-xz"));
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(count_entries(NULL, 0), 2);
}

/* ---- size ---- */

static void make_entry(const char *source, uint64_t size, time_t used)
{
	struct timespec times[2] = { { .tv_sec = used }, { .tv_nsec = UTIME_OMIT } };
	struct cache cache;
	struct diag diag;

	begin(&cache, source, false);
	assert_int_equal(ftruncate(cache.file.fd, (off_t)size), 0);
	assert_int_equal(cache_publish(&cache, size, &diag), 0);
	assert_int_equal(futimens(cache.file.fd, times), 0);
	cache_end(&cache);
}

static bool has_entry(const char *source)
{
	struct cache cache;
	struct diag diag;
	uint64_t size;
	int fd;

	locate(&cache, source);
	assert_int_equal(cache_open(&cache, &diag), 0);
	fd = cache_find(&cache, &size);
	if (fd >= 0)
		close(fd);
	cache_end(&cache);
	return fd >= 0;
}

static void test_eviction(void **state)
{
	char path[PATH_MAX];
	struct stat st;
	int fd;

	setenv("PRONTO_CACHE_SIZE", "10K", 1);
	make_entry("bzimage-lz4", 4096, 2000);
	make_entry("bzimage-xz", 4096, 1000);
	/* A use makes it the younger one; a second look does not write again. */
	assert_true(has_entry("bzimage-xz"));
	snprintf(path, sizeof(path), "%s/other", cache_dir());
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_int_equal(ftruncate(fd, 1 << 20), 0);
	make_entry("bare-gzip-big", 4096, 3000);
	assert_false(has_entry("bzimage-lz4"));
	assert_true(has_entry("bzimage-xz"));
	assert_true(has_entry("bare-gzip-big"));
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 1); /* what is not ours stays */
	close(fd);
	/* Larger than all: not kept, and nothing goes for it. */
	make_entry("elf64-entry-8", 10241, 4000);
	assert_false(has_entry("elf64-entry-8"));
	assert_true(has_entry("bzimage-xz"));
	make_entry("elf64-entry-8", 10240, 4000);
	assert_true(has_entry("elf64-entry-8"));
	assert_int_equal(count_entries(NULL, 0), 2);
}

static void test_nothing_is_kept(void **state)
{
	struct image image;
	struct diag diag;

	setenv("PRONTO_CACHE_SIZE", "0", 1);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), true, &diag), 0);
		assert_false(image.from_cache);
		image_close(&image);
	}
	assert_int_equal(count_entries(NULL, 0), 0);
	setenv("PRONTO_CACHE_SIZE", "much", 1);
	assert_int_equal(image_open(&image, kernels_path("bzimage-xz"), true, &diag), 0);
	assert_non_null(strstr(image.cache_fault.text, "PRONTO_CACHE_SIZE=much"));
	image_close(&image);
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
		cmocka_unit_test_setup(test_hit, fresh),
		cmocka_unit_test_setup(test_changed_source, fresh),
		cmocka_unit_test_setup(test_damaged_entry, fresh),
		cmocka_unit_test_setup(test_entry_is_a_directory, fresh),
		cmocka_unit_test_setup(test_failure_leaves_nothing, fresh),
		cmocka_unit_test_setup(test_no_place, fresh),
		cmocka_unit_test_setup(test_no_cache, fresh),
		cmocka_unit_test_setup(test_concurrent_starts, fresh),
		cmocka_unit_test_setup(test_second_comes_late, fresh),
		cmocka_unit_test_setup(test_crash, fresh),
		cmocka_unit_test_setup(test_eviction, fresh),
		cmocka_unit_test_setup(test_nothing_is_kept, fresh),
	};

	return cmocka_run_group_tests_name("cache", tests, setup, teardown);
}
