// SPDX-License-Identifier: MIT
/* test_listener.c - a Unix socket that listens at a path */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "util/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

struct fixture {
	char dir[32], path[64], other[64];
	struct listener listener;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	memcpy(f->dir, "/tmp/test_listener.XXXXXX", 26);
	f->listener.fd = -1;
	*state = f;
	if (!mkdtemp(f->dir))
		return -1;
	snprintf(f->path, sizeof(f->path), "%s/socket", f->dir);
	snprintf(f->other, sizeof(f->other), "%s/other", f->dir);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	listener_close(&f->listener);
	unlink(f->path);
	unlink(f->other);
	rmdir(f->dir);
	free(f);
	return 0;
}

static int connect_to(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), ret;

	assert_true(fd >= 0);
	memcpy(address.sun_path, path, strlen(path) + 1);
	ret = connect(fd, (const void *)&address, sizeof(address)) ? -errno : 0;
	close(fd);
	return ret;
}

static void write_file(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_int_equal(write(fd, "kept", 4), 4);
	close(fd);
}

static void assert_kept(const char *path)
{
	char text[8] = "";
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, text, sizeof(text)), 4);
	assert_string_equal(text, "kept");
	close(fd);
}

/* It is there from open to close, and who comes is heard of. */
static void test_open(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd;

	assert_int_equal(listener_open(&f->listener, f->path, 1), 0);
	assert_int_equal(connect_to(f->path), 0);
	fd = accept4(f->listener.fd, NULL, NULL, SOCK_CLOEXEC);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(accept4(f->listener.fd, NULL, NULL, SOCK_CLOEXEC), -1);
	assert_int_equal(errno, EAGAIN); /* nobody is waited for */
	listener_close(&f->listener);
	assert_int_equal(f->listener.fd, -1);
	assert_int_equal(lstat(f->path, &st), -1);
}

/* What a killed process left is replaced. */
static void test_left_over(void **state)
{
	struct fixture *f = *state;
	struct listener killed;

	assert_int_equal(listener_open(&killed, f->path, 1), 0);
	close(killed.fd);
	assert_int_equal(connect_to(f->path), -ECONNREFUSED);
	assert_int_equal(listener_open(&f->listener, f->path, 1), 0);
	assert_int_equal(connect_to(f->path), 0);
}

/* Who listens goes on listening. */
static void test_in_use(void **state)
{
	struct fixture *f = *state;
	struct listener second;

	assert_int_equal(listener_open(&f->listener, f->path, 2), 0);
	assert_int_equal(listener_open(&second, f->path, 1), -EADDRINUSE);
	assert_int_equal(second.fd, -1);
	listener_close(&second);
	assert_int_equal(connect_to(f->path), 0);
}

/* Connecting to a file is refused like connecting to a socket that was left: it stays. */
static void test_a_file(void **state)
{
	struct fixture *f = *state;

	write_file(f->path);
	assert_int_equal(connect_to(f->path), -ECONNREFUSED);
	assert_int_equal(listener_open(&f->listener, f->path, 1), -EADDRINUSE);
	assert_kept(f->path);
}

/* A link, too, and what it leads to: a file, a socket that was left, nothing. */
static void test_a_link(void **state)
{
	struct fixture *f = *state;
	struct listener killed;
	struct stat st;

	assert_int_equal(symlink(f->other, f->path), 0);
	assert_int_equal(listener_open(&f->listener, f->path, 1), -EADDRINUSE);
	write_file(f->other);
	assert_int_equal(listener_open(&f->listener, f->path, 1), -EADDRINUSE);
	assert_kept(f->other);
	assert_int_equal(unlink(f->other), 0);
	assert_int_equal(listener_open(&killed, f->other, 1), 0);
	close(killed.fd);
	assert_int_equal(listener_open(&f->listener, f->path, 1), -EADDRINUSE);
	assert_int_equal(lstat(f->path, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(lstat(f->other, &st), 0);
}

/* What somebody else has put in its place is theirs. */
static void test_replaced(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(listener_open(&f->listener, f->path, 1), 0);
	assert_int_equal(rename(f->path, f->other), 0);
	write_file(f->path);
	listener_close(&f->listener);
	assert_kept(f->path);
}

/* The longest name is one; one more byte is said to be too many. */
static void test_long_path(void **state)
{
	struct fixture *f = *state;
	char path[sizeof(struct sockaddr_un)];
	size_t n = listener_max_path();

	memset(path, 'x', sizeof(path));
	memcpy(path, f->dir, strlen(f->dir));
	path[strlen(f->dir)] = '/';
	path[n + 1] = '\0';
	assert_int_equal(listener_open(&f->listener, path, 1), -ENAMETOOLONG);
	path[n] = '\0';
	assert_int_equal(listener_open(&f->listener, path, 1), 0);
	assert_int_equal(connect_to(path), 0);
	listener_close(&f->listener);
	assert_int_equal(access(path, F_OK), -1);
}

/* Who has no room is not waited for for ever. */
static void test_no_room(void **state)
{
	struct fixture *f = *state;
	int first, second;

	assert_int_equal(listener_connect_within(f->path, 10), -ENOENT);
	assert_int_equal(listener_open(&f->listener, f->path, 0), 0);
	first = listener_connect_within(f->path, 10);
	assert_true(first >= 0);
	second = listener_connect_within(f->path, 10);
	assert_int_equal(second, -ETIMEDOUT);
	close(accept(f->listener.fd, NULL, NULL));
	second = listener_connect_within(f->path, 10);
	assert_true(second >= 0);
	close(first);
	close(second);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_left_over, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_in_use, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_a_link, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_replaced, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_path, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_room, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
