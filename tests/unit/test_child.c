// SPDX-License-Identifier: MIT
/* test_child.c - programs that work for the VM: what they get, and how they end */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/child.h"
#include "util/bits.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static void start(struct child *child, const char *script, const int *fds, unsigned int n)
{
	const char *const argv[] = { "sh", "-c", script, NULL };
	struct diag diag;

	assert_int_equal(child_start(child, argv, fds, n, &diag), 0);
}

static void check_end(struct child *child, const char *says)
{
	struct pollfd end = { child->pidfd, POLLIN, 0 };
	struct diag diag;

	assert_int_equal(poll(&end, 1, 10000), 1);
	child_describe_end(child, &diag);
	if (!strstr(diag.text, says))
		fail_msg("'%s' does not say '%s'", diag.text, says);
	child_end(child);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1); /* nothing is left */
}

static void test_last_words(void **state)
{
	struct child child;

	start(&child,
		"echo first >&2; echo no route >&2; echo Failed to send 9 bytes to syslog >&2; exit 7",
		NULL, 0);
	check_end(&child, "sh has ended with status 7: no route");
	start(&child,
		"echo no rights >&2; echo >&2; echo \"thread 'main' panicked at\" >&2; echo trace: >&2; exit 1",
		NULL, 0);
	check_end(&child, "sh has ended with status 1: no rights");
	start(&child, "kill -9 $$", NULL, 0);
	check_end(&child, "signal 9");
	start(&child, "exit 0", NULL, 0);
	check_end(&child, "status 0");
}

/* However much it says, it does not wait for a reader. */
static void test_talkative(void **state)
{
	struct child child;

	start(&child, "head -c 1000000 /dev/zero >&2; exit 3", NULL, 0);
	check_end(&child, "status 3");
}

static void test_missing(void **state)
{
	const char *const argv[] = { "no-such-program-anywhere", NULL };
	struct child child;
	struct diag diag;

	assert_int_equal(child_start(&child, argv, NULL, 0, &diag), -ENOENT);
	assert_non_null(strstr(diag.text, "no-such-program-anywhere"));
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

/* Its descriptors are in order, whatever numbers they have here, and there are no others. */
static void test_descriptors(void **state)
{
	int pair[2], crossed[2];
	struct child child;
	char text[64] = "";
	ssize_t n, have = 0;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	crossed[0] = pair[1];
	crossed[1] = STDERR_FILENO;
	/* sh's own directory's descriptor is among them for a moment. */
	start(&child, "cd /proc/self/fd && echo * >&3; readlink 0 >&3", crossed, 2);
	close(pair[1]);
	while ((n = read(pair[0], text + have, sizeof(text) - 1 - (size_t)have)) > 0)
		have += n;
	assert_true(!strncmp(text, "0 1 2 3 4\n", 10) || !strncmp(text, "0 1 2 3 4 5\n", 12));
	assert_non_null(strstr(text, "/dev/null"));
	check_end(&child, "status 0");
	close(pair[0]);
}

static void never(int)
{
	abort();
}

/* Whoever started this test may ignore signals of the C library's, which nobody can change. */
static uint64_t what_is_ignored(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	unsigned long long ignored = 0;
	char line[256];

	assert_non_null(file);
	while (fgets(line, sizeof(line), file) && sscanf(line, "SigIgn: %llx", &ignored) != 1)
		continue;
	fclose(file);
	return ignored;
}

/* No handler of ours, no ignored SIGPIPE, nothing blocked. */
static void test_signals(void **state)
{
	struct sigaction ours = { .sa_handler = never }, before;
	struct child child;
	sigset_t blocked, mask;
	char wanted[64];

	for (int i = 1; i < NSIG; i++) /* whatever this test was started with */
		signal(i, SIG_DFL);
	snprintf(wanted, sizeof(wanted), "SigBlk:%016xSigIgn:%016llx", 0,
		(unsigned long long)what_is_ignored());
	sigemptyset(&blocked);
	sigaddset(&blocked, SIGTERM);
	sigaddset(&blocked, SIGUSR1);
	pthread_sigmask(SIG_BLOCK, &blocked, &mask);
	sigaction(SIGUSR1, &ours, &before);
	signal(SIGPIPE, SIG_IGN);
	start(&child, "grep -E '^Sig(Blk|Ign)' /proc/self/status | tr -d '\\n\\t' >&2; exit 1",
		NULL, 0);
	check_end(&child, wanted);
	sigaction(SIGUSR1, &before, NULL);
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	signal(SIGPIPE, SIG_DFL);
}

static void test_end(void **state)
{
	struct child child;
	pid_t pid;

	start(&child, "while :; do sleep 60; done", NULL, 0);
	pid = child.pid;
	child_end(&child);
	assert_int_equal(kill(pid, 0), -1);
	/* One that does not want to. */
	start(&child, "trap '' TERM; echo ready >&2; while :; do sleep 0.1; done", NULL, 0);
	assert_int_equal(poll(&(struct pollfd){ child.words_fd, POLLIN, 0 }, 1, 10000), 1);
	pid = child.pid;
	child_end(&child);
	assert_int_equal(kill(pid, 0), -1);
}

/* We are killed: the kernel ends it, and what its socket says is that. */
static void test_parent_is_killed(void **state)
{
	int pair[2];
	char byte;
	pid_t parent;

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	parent = fork();
	if (!parent) {
		struct child child;

		close(pair[0]);
		start(&child, "echo >&3; exec sleep 60", &pair[1], 1);
		pause();
		_exit(0);
	}
	close(pair[1]);
	assert_int_equal(read(pair[0], &byte, 1), 1);
	kill(parent, SIGKILL);
	assert_int_equal(waitpid(parent, NULL, 0), parent);
	assert_int_equal(poll(&(struct pollfd){ pair[0], POLLIN, 0 }, 1, 10000), 1);
	assert_int_equal(read(pair[0], &byte, 1), 0);
	close(pair[0]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_last_words),
		cmocka_unit_test(test_talkative),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_parent_is_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
