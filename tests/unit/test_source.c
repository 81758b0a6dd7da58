// SPDX-License-Identifier: MIT
/* test_source.c - the kernel file: who can write to it, and that somebody did */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "image/source.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char path[] = "/tmp/pronto-source-XXXXXX";
static int file;

static struct image_source open_source(void)
{
	struct image_source source;
	struct diag diag;

	assert_int_equal(source_open(&source, path, &diag), 0);
	return source;
}

static void check_changed(void (*change)(void), bool want)
{
	struct image_source source = open_source();

	assert_false(source_changed(&source));
	change();
	assert_int_equal(source_changed(&source), want);
	source_close(&source);
	source_close(&source);
	assert_int_equal(source.fd, -1);
}

static void change_nothing(void)
{
}

static void change_size(void)
{
	assert_int_equal(pwrite(file, "long", 4, 100), 4);
}

static void change_mtime(void)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = 1, .tv_nsec = 1 } };

	assert_int_equal(futimens(file, times), 0);
}

/* The bytes are others, the time of the last write is put back: that shows, too. */
static void change_bytes_unseen(void)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT } }, ctime;
	struct stat st;

	assert_int_equal(fstat(file, &st), 0);
	times[1] = st.st_mtim;
	/* Until the clock that file times are taken from has moved on. */
	do {
		assert_int_equal(pwrite(file, "X", 1, 0), 1);
		assert_int_equal(futimens(file, times), 0);
		ctime = st.st_ctim;
		assert_int_equal(fstat(file, &st), 0);
	} while (st.st_ctim.tv_sec == ctime.tv_sec && st.st_ctim.tv_nsec == ctime.tv_nsec);
}

static void test_changed(void **state)
{
	check_changed(change_nothing, false);
	check_changed(change_size, true);
	check_changed(change_mtime, true);
	check_changed(change_bytes_unseen, true);
}

static void test_ours(void **state)
{
	static const struct {
		mode_t mode;
		bool ours;
	} cases[] = { { 0600, true }, { 0644, true }, { 0755, true }, { 0620, false },
		{ 0602, false } };
	struct image_source source;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(fchmod(file, cases[i].mode), 0);
		source = open_source();
		assert_int_equal(source_is_ours(&source), cases[i].ours);
		source_close(&source);
	}
	assert_int_equal(fchmod(file, 0600), 0);
	source = open_source();
	source.st.st_uid = 0; /* root could do anything anyway */
	assert_true(source_is_ours(&source));
	source.st.st_uid = geteuid() + 1;
	assert_false(source_is_ours(&source));
	source_close(&source);
}

static void test_too_large(void **state)
{
	struct image_source source;
	struct diag diag = { "" };

	assert_int_equal(ftruncate(file, (off_t)IMAGE_MAX_FILE), 0);
	assert_int_equal(source_open(&source, path, &diag), 0);
	source_close(&source);
	assert_int_equal(ftruncate(file, (off_t)IMAGE_MAX_FILE + 1), 0);
	assert_int_equal(source_open(&source, path, &diag), -EFBIG);
	assert_non_null(strstr(diag.text, "no kernel more than 4096"));
	assert_int_equal(ftruncate(file, 1), 0);
}

static int setup(void **state)
{
	file = mkstemp(path);
	return file < 0 || write(file, "text", 4) != 4;
}

static int teardown(void **state)
{
	close(file);
	return unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_changed),
		cmocka_unit_test(test_ours),
		cmocka_unit_test(test_too_large),
	};

	return cmocka_run_group_tests_name("source", tests, setup, teardown);
}
