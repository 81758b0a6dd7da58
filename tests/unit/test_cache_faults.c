// SPDX-License-Identifier: MIT
/* test_cache_faults.c - a cache that is of no use is gone without */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "cache_rig.h"
#include "skip.h"
#include "util/bits.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>

static const char *const names[] = { "bare-gzip-big", "bzimage-xz", "elf64-entry-8", NULL };

/* 0: the kernel is unpacked in memory, the cause is told, and nothing is left behind. */
static int goes_without(const char *name, const char *cause)
{
	struct diag diag = { "" };
	struct image image;

	if (image_open(&image, kernels_path(name), true, &diag))
		return 10;
	if (!strstr(image.cache_fault.text, cache_dir()) ||
		!strstr(image.cache_fault.text, cause)) {
		print_message("%s\n", image.cache_fault.text);
		return 11;
	}
	if (image.from_cache || !image.owned_file || !image.elf.has_pvh_entry ||
		pwrite(image.fd, "X", 1, 0) != -1)
		return 12;
	image_close(&image);
	return count_entries(NULL, 0) ? 13 : 0;
}

static bool write_text(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Of a user namespace in which there is nobody else. */
static bool become_root(void)
{
	char users[32], groups[32];

	snprintf(users, sizeof(users), "0 %u 1", geteuid());
	snprintf(groups, sizeof(groups), "0 %u 1", getegid());
	return !unshare(CLONE_NEWUSER | CLONE_NEWNS) &&
	       write_text("/proc/self/setgroups", "deny") &&
	       write_text("/proc/self/uid_map", users) && write_text("/proc/self/gid_map", groups);
}

/* In a mount namespace of its own, with a file system of 64 KiB over the cache; 77: not allowed. */
static int on_small_disk(void)
{
	int ret;

	if (unshare(CLONE_NEWNS) && !become_root())
		return 77;
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		mount("none", kernels_path("xdg"), "tmpfs", 0, "size=64k"))
		return 77;
	ret = goes_without("bare-gzip-big", "No space left on device");
	if (ret)
		return ret;
	if (mount(NULL, kernels_path("xdg"), NULL, MS_REMOUNT | MS_RDONLY, NULL))
		return 77;
	return goes_without("bare-gzip-big", "Read-only file system");
}

static void test_disk_full(void **state)
{
	pid_t pid;
	int status;

	assert_int_equal(mkdir(kernels_path("xdg"), 0700), 0);
	pid = fork();
	if (!pid)
		_exit(on_small_disk());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip_because("nobody may mount here, not even in a namespace of its own");
	assert_int_equal(status, 0);
}

static void test_not_a_directory(void **state)
{
	close(open(kernels_path("xdg"), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
	assert_int_equal(goes_without("bzimage-xz", "Not a directory"), 0);
}

static void test_others_directory(void **state)
{
	if (geteuid())
		skip_because("only root gives files away");
	assert_false(open_kernel("bzimage-xz"));
	assert_int_equal(chown(cache_dir(), 65534, 65534), 0);
	/* A hit would be there: it is not looked for. */
	assert_int_equal(goes_without("bzimage-xz", "belongs to another user"), 13);
}

/* On a hit as on a miss; and nobody's mode is changed. */
static void test_open_directory(void **state)
{
	struct stat st;

	assert_int_equal(mkdir(kernels_path("xdg"), 0700), 0);
	assert_int_equal(mkdir(cache_dir(), 0700), 0);
	assert_int_equal(chmod(cache_dir(), 0777), 0);
	assert_int_equal(goes_without("bzimage-xz", "can be written by others"), 0);
	assert_int_equal(chmod(cache_dir(), 0755), 0);
	assert_false(open_kernel("bzimage-xz"));
	assert_true(open_kernel("bzimage-xz"));
	assert_int_equal(stat(cache_dir(), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
	assert_int_equal(chmod(cache_dir(), 0775), 0);
	assert_int_equal(goes_without("bzimage-xz", "can be written by others"), 13);
}

/* Whoever can place a link must not choose which directory is written to. */
static void test_linked_directory(void **state)
{
	struct stat st;

	assert_int_equal(mkdir(kernels_path("xdg"), 0700), 0);
	assert_int_equal(mkdir(kernels_path("xdg/elsewhere"), 0755), 0);
	assert_int_equal(symlink("elsewhere", cache_dir()), 0);
	assert_int_equal(goes_without("bzimage-xz", "Not a directory"), 0);
	assert_int_equal(stat(kernels_path("xdg/elsewhere"), &st), 0);
	assert_int_equal(st.st_mode, S_IFDIR | 0755);
}

/* In memory it is unpacked all the same, if we may lift the limit; whoever may not is told. */
static int on_file_size_limit(bool may_lift)
{
	static const struct rlimit soft = { 100000, RLIM_INFINITY }, hard = { 100000, 100000 };
	struct diag diag = { "" };
	struct rlimit now;
	struct image image;
	int ret;

	signal(SIGXFSZ, SIG_IGN); /* as main() does it */
	if (may_lift) {
		if (setrlimit(RLIMIT_FSIZE, &soft))
			return 1;
		ret = goes_without("bare-gzip-big", "File too large");
		return ret || getrlimit(RLIMIT_FSIZE, &now) || now.rlim_cur != soft.rlim_cur;
	}
	if (setrlimit(RLIMIT_FSIZE, &hard) ||
		(!geteuid() && (chmod(kernels_dir, 0755) || setuid(65534))))
		return 1;
	ret = image_open(&image, kernels_path("bare-gzip-big"), true, &diag);
	return ret != -EFBIG || !strstr(diag.text, "ulimit -f");
}

static void test_file_size_limit(void **state)
{
	for (int may_lift = 0; may_lift < 2; may_lift++) {
		int status;
		pid_t pid = fork();

		if (!pid)
			_exit(on_file_size_limit(may_lift));
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_int_equal(status, 0);
	}
}

/* Who can write to a file can hold a mapping of it, and change it under times that stay. */
static void check_not_cached(const char *name)
{
	struct diag diag = { "" };
	struct image image;

	for (int i = 0; i < 2; i++) {
		assert_int_equal(image_open(&image, kernels_path(name), true, &diag), 0);
		assert_false(image.from_cache);
		image_close(&image);
	}
}

static void test_others_source(void **state)
{
	static const mode_t modes[] = { 0664, 0646 };

	for (size_t i = 0; i < ARRAY_SIZE(modes); i++) {
		assert_int_equal(chmod(kernels_path("bzimage-xz"), modes[i]), 0);
		check_not_cached("bzimage-xz");
	}
	assert_int_equal(chmod(kernels_path("bzimage-xz"), 0644), 0);
	if (!geteuid()) {
		assert_int_equal(chown(kernels_path("bzimage-xz"), 65534, -1U), 0);
		check_not_cached("bzimage-xz");
		assert_int_equal(chown(kernels_path("bzimage-xz"), 0, -1U), 0);
	}
	assert_int_equal(count_entries(NULL, 0), 0);
	assert_false(open_kernel("bzimage-xz"));
	assert_true(open_kernel("bzimage-xz"));
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
		cmocka_unit_test_setup(test_disk_full, fresh),
		cmocka_unit_test_setup(test_not_a_directory, fresh),
		cmocka_unit_test_setup(test_others_directory, fresh),
		cmocka_unit_test_setup(test_open_directory, fresh),
		cmocka_unit_test_setup(test_linked_directory, fresh),
		cmocka_unit_test_setup(test_file_size_limit, fresh),
		cmocka_unit_test_setup(test_others_source, fresh),
	};

	return cmocka_run_group_tests_name("cache_faults", tests, setup, teardown);
}
