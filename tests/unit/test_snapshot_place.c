// SPDX-License-Identifier: MIT
/* test_snapshot_place.c - two files that get their names when both are whole, or never */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/file.h"
#include "vm/snapshot_place.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RAM 8192u

struct fixture {
	char dir[32], path[64];
	struct snapshot_place place;
	struct diag diag;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	memcpy(f->dir, "/tmp/test_place.XXXXXX", 23);
	*state = f;
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/snapshot", f->dir);
	return 0;
}

static void empty(const char *path)
{
	DIR *dir = opendir(path);
	const struct dirent *entry;

	while (dir && (entry = readdir(dir)))
		unlinkat(dirfd(dir), entry->d_name, 0);
	if (dir)
		closedir(dir);
	rmdir(path);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	snapshot_place_close(&f->place);
	empty(f->path);
	empty(f->dir);
	free(f);
	return 0;
}

static unsigned int count_names(const char *path)
{
	DIR *dir = opendir(path);
	unsigned int n = 0;

	if (!dir)
		return 0;
	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

/* As the machine would. */
static void write_files(struct fixture *f, uint8_t id, uint8_t base)
{
	struct snapshot_trailer trailer = { .magic = SNAPSHOT_TRAILER_MAGIC };

	trailer.id[0] = id;
	trailer.base[0] = base;
	assert_int_equal(file_write_at(f->place.memory.fd, &trailer, sizeof(trailer), RAM), 0);
	assert_int_equal(file_write_at(f->place.state.fd, &id, 1, 0), 0);
}

static bool has_memory(const struct fixture *f, uint8_t id)
{
	char path[128];
	struct stat st;

	snprintf(path, sizeof(path), "%s/memory-%02x%030x", f->path, id, 0);
	return !stat(path, &st);
}

static uint8_t state_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t byte = 0;

	assert_true(fd >= 0);
	assert_int_equal(read(fd, &byte, 1), 1);
	close(fd);
	return byte;
}

static void save(struct fixture *f, uint8_t id, uint8_t base, int ret)
{
	assert_int_equal(snapshot_place_open(&f->place, f->path, NULL, &f->diag), 0);
	assert_true(f->place.is_beside);
	write_files(f, id, base);
	assert_int_equal(snapshot_place_settle(&f->place, &f->diag), ret);
	snapshot_place_close(&f->place);
}

/* A directory has one snapshot: the next takes its place. */
static void test_directory(void **state)
{
	struct fixture *f = *state;
	char path[80];

	snprintf(path, sizeof(path), "%s/state", f->path);
	save(f, 1, 0, 0);
	assert_true(has_memory(f, 1));
	assert_int_equal(state_of(path), 1);
	save(f, 2, 0, 0);
	assert_false(has_memory(f, 1));
	assert_true(has_memory(f, 2));
	assert_int_equal(state_of(path), 2);
	assert_int_equal(count_names(f->path), 2);
}

/* What is given up leaves what was there before, or nothing. */
static void test_given_up(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(snapshot_place_open(&f->place, f->path, NULL, &f->diag), 0);
	write_files(f, 1, 0);
	snapshot_place_close(&f->place);
	assert_int_equal(stat(f->path, &st), -1);
	save(f, 1, 0, 0);
	assert_int_equal(snapshot_place_open(&f->place, f->path, NULL, &f->diag), 0);
	write_files(f, 2, 0);
	snapshot_place_close(&f->place);
	assert_true(has_memory(f, 1));
	assert_int_equal(count_names(f->path), 2);
}

static void test_not_whole(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(snapshot_place_open(&f->place, f->path, NULL, &f->diag), 0);
	assert_int_equal(snapshot_place_settle(&f->place, &f->diag), -ENODATA);
	assert_int_equal(ftruncate(f->place.memory.fd, RAM), 0);
	assert_int_equal(snapshot_place_settle(&f->place, &f->diag), -EBADMSG);
	snapshot_place_close(&f->place);
	assert_int_equal(count_names(f->path), 0);
}

/* Changes do not replace what they are the changes of. */
static void test_base_is_there(void **state)
{
	struct fixture *f = *state;
	char want[160];

	save(f, 1, 0, 0);
	save(f, 2, 1, -EINVAL);
	snprintf(want, sizeof(want),
		"%s: has the snapshot that these would be the changes of: save them elsewhere",
		f->path);
	assert_string_equal(f->diag.text, want);
	assert_true(has_memory(f, 1));
	save(f, 3, 9, 0);
	assert_false(has_memory(f, 1));
}

/* Two files of one's own. */
static void test_files(void **state)
{
	struct fixture *f = *state;
	char state_path[64], memory_path[64];
	struct stat st;

	snprintf(state_path, sizeof(state_path), "%s/s", f->dir);
	snprintf(memory_path, sizeof(memory_path), "%s/m", f->dir);
	for (uint8_t id = 1; id < 3; id++) {
		assert_int_equal(
			snapshot_place_open(&f->place, state_path, memory_path, &f->diag), 0);
		assert_false(f->place.is_beside);
		write_files(f, id, 0);
		assert_int_equal(snapshot_place_settle(&f->place, &f->diag), 0);
		snapshot_place_close(&f->place);
		assert_int_equal(state_of(state_path), id);
		assert_int_equal(stat(memory_path, &st), 0);
		assert_int_equal(st.st_size, RAM + sizeof(struct snapshot_trailer));
	}
	assert_int_equal(count_names(f->dir), 2);
}

/* Whoever leaves it to a copy of this process can still write, and removes nothing. */
static void test_left(void **state)
{
	struct fixture *f = *state;
	struct stat st;

	assert_int_equal(snapshot_place_open(&f->place, f->path, NULL, &f->diag), 0);
	snapshot_place_leave(&f->place);
	write_files(f, 1, 0);
	snapshot_place_close(&f->place);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(count_names(f->path), 0);
}

static void test_nowhere(void **state)
{
	struct fixture *f = *state;
	char path[96], want[160];

	snprintf(path, sizeof(path), "%s/no/such", f->dir);
	assert_int_equal(snapshot_place_open(&f->place, path, NULL, &f->diag), -ENOENT);
	snprintf(want, sizeof(want), "%s: cannot make the directory: No such file or directory",
		path);
	assert_string_equal(f->diag.text, want);
	assert_null(f->place.path);
	assert_int_equal(snapshot_place_open(&f->place, f->path, path, &f->diag), -ENOENT);
	snprintf(want, sizeof(want), "%s: cannot open its directory: No such file or directory",
		path);
	assert_string_equal(f->diag.text, want);
	assert_int_equal(count_names(f->dir), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_directory),
		TEST(test_given_up),
		TEST(test_not_whole),
		TEST(test_base_is_there),
		TEST(test_files),
		TEST(test_left),
		TEST(test_nowhere),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
