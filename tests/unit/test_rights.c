// SPDX-License-Identifier: MIT
/* test_rights.c - descriptors that go with a message */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "entries.h"
#include "util/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

struct pair {
	int a, b;
};

static int set_up(void **state)
{
	static struct pair pair;
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
		return -1;
	pair = (struct pair){ fds[0], fds[1] };
	*state = &pair;
	return 0;
}

static int tear_down(void **state)
{
	const struct pair *pair = *state;

	close(pair->a);
	close(pair->b);
	return 0;
}

/* They are the same files, and do not stay open in a program that is begun. */
static void test_arrive(void **state)
{
	const struct pair *pair = *state;
	int pipes[2], fds[3] = { -1, -1, -1 };
	size_t n = 3;
	char text[8] = "";

	assert_int_equal(pipe(pipes), 0);
	assert_int_equal(rights_send(pair->a, "text", 5, pipes, 2, 0), 5);
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), fds, &n, 0), 5);
	assert_string_equal(text, "text");
	assert_int_equal(n, 2);
	assert_int_equal(fds[2], -1);
	assert_int_equal(write(fds[1], "x", 1), 1);
	assert_int_equal(read(pipes[0], text, sizeof(text)), 1);
	for (size_t i = 0; i < n; i++) {
		assert_true(fcntl(fds[i], F_GETFD) & FD_CLOEXEC);
		close(fds[i]);
	}
	close(pipes[0]);
	close(pipes[1]);
}

static void test_none(void **state)
{
	const struct pair *pair = *state;
	size_t n = 1;
	char text[8];
	int fd = -1;

	assert_int_equal(rights_send(pair->a, "text", 5, NULL, 0, 0), 5);
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), &fd, &n, 0), 5);
	assert_int_equal(n, 0);
	n = 1;
	assert_int_equal(
		rights_receive(pair->b, text, sizeof(text), &fd, &n, MSG_DONTWAIT), -EAGAIN);
	assert_int_equal(n, 0);
	assert_int_equal(rights_send(pair->a, "text", 5, NULL, 0, 0), 5);
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), NULL, &n, 0), 5);
	shutdown(pair->a, SHUT_RDWR);
	n = 1;
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), &fd, &n, 0), 0);
	assert_int_equal(n, 0);
}

/* What there is no room for is refused whole, and nothing of it stays open. */
static void test_too_many(void **state)
{
	const struct pair *pair = *state;
	const int sent[] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	unsigned int before = count_entries("/proc/self/fd");
	char text[8];
	int fds[2];
	size_t n = 2;

	assert_int_equal(rights_send(pair->a, "text", 5, sent, 3, 0), 5);
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), fds, &n, 0), -EBADMSG);
	assert_int_equal(n, 0);
	n = 2;
	assert_int_equal(rights_send(pair->a, "longer text", 12, sent, 2, 0), 12);
	assert_int_equal(rights_receive(pair->b, text, sizeof(text), fds, &n, 0), -EBADMSG);
	assert_int_equal(n, 0);
	assert_int_equal(count_entries("/proc/self/fd"), before);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_arrive, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_none, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_too_many, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
