// SPDX-License-Identifier: MIT
/* test_newfile.c - files appear whole, with a name meanwhile and without */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/newfile.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char dir[] = "/tmp/pronto-newfile-XXXXXX";
static int dir_fd;

static unsigned int count_names(void)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *stream = fdopendir(fd);
	unsigned int n = 0;

	assert_non_null(stream);
	while (readdir(stream))
		n++;
	closedir(stream);
	return n - 2;
}

static void make(struct newfile *file, const char *text, int always_name)
{
	assert_int_equal(newfile_create(file, dir_fd, 0600, always_name), 0);
	assert_int_equal(write(file->fd, text, strlen(text)), strlen(text));
}

static void check_text(const char *name, const char *want)
{
	char text[16] = "";
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_true(read(fd, text, sizeof(text) - 1) >= 0);
	close(fd);
	assert_string_equal(text, want);
}

static void remove_name(const char *name)
{
	assert_int_equal(unlinkat(dir_fd, name, 0), 0);
}

static void test_link(void **state)
{
	struct newfile first, second;

	for (int always_name = 0; always_name < 2; always_name++) {
		make(&first, "first", always_name);
		make(&second, "second", always_name);
		assert_int_equal(count_names(), always_name ? 2 : 0);
		assert_int_equal(newfile_link(&first, "name"), 0);
		assert_int_equal(newfile_link(&second, "name"), -EEXIST);
		assert_int_equal(count_names(), 1);
		newfile_discard(&first);
		newfile_discard(&second);
		newfile_discard(&second);
		check_text("name", "first");
		remove_name("name");
	}
}

static void test_replace(void **state)
{
	struct newfile file;

	for (int always_name = 0; always_name < 2; always_name++) {
		make(&file, "first", always_name);
		assert_int_equal(newfile_replace(&file, "name"), 0);
		newfile_discard(&file);
		make(&file, "second", always_name);
		assert_int_equal(newfile_replace(&file, "name"), 0);
		newfile_discard(&file);
		check_text("name", "second");
		assert_int_equal(count_names(), 1);
		remove_name("name");
	}
}

static void test_failures(void **state)
{
	struct newfile file;

	assert_int_equal(mkdirat(dir_fd, "dir", 0700), 0);
	for (int always_name = 0; always_name < 2; always_name++) {
		make(&file, "text", always_name);
		assert_int_equal(newfile_replace(&file, "dir"), -EISDIR);
		assert_int_equal(newfile_link(&file, "none/name"), -ENOENT);
		newfile_discard(&file);
		assert_int_equal(count_names(), 1);
	}
	assert_int_equal(unlinkat(dir_fd, "dir", AT_REMOVEDIR), 0);
	for (int always_name = 0; always_name < 2; always_name++) {
		assert_int_equal(newfile_create(&file, -1, 0600, always_name), -EBADF);
		assert_int_equal(file.fd, -1);
	}
}

/* A process that had this one's number left its own behind. */
static void test_name_taken(void **state)
{
	struct newfile first, second;

	make(&first, "first", true);
	make(&second, "second", true);
	assert_string_not_equal(first.temp, second.temp);
	assert_int_equal(strncmp(first.temp, NEWFILE_PREFIX, strlen(NEWFILE_PREFIX)), 0);
	newfile_discard(&second);
	make(&second, "second", false);
	assert_int_equal(newfile_replace(&second, "name"), 0);
	newfile_discard(&second);
	check_text(first.temp, "first");
	newfile_discard(&first);
	remove_name("name");
	assert_int_equal(count_names(), 0);
}

static int setup(void **state)
{
	if (!mkdtemp(dir))
		return -1;
	dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
	return dir_fd < 0;
}

static int teardown(void **state)
{
	close(dir_fd);
	return rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),
		cmocka_unit_test(test_replace),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_name_taken),
	};

	return cmocka_run_group_tests_name("newfile", tests, setup, teardown);
}
