// SPDX-License-Identifier: MIT
/* child.c - a program that works for the VM, and ends with it */

#include "host/child.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE  KIB(64)
#define PATIENCE_MS 1000

/* What we tell it before it becomes another program; it shares our memory until then. */
struct order {
	const char *const *argv;
	const int *fds;
	unsigned int n_fds;
	int words_fd;
	int (*prepare)(const void *ctx); /* or NULL */
	const void *ctx;
	pid_t parent;
	int err; /* its answer, if it could not */
};

/* ---- in the child: our memory, its own descriptors and signals ---- */

/* Copies above all numbers that are wanted, so that none is overwritten before it was placed. */
static int place_fds(const struct order *order)
{
	int from[CHILD_FIRST_FD + CHILD_MAX_FDS] = { -1, -1, order->words_fd };
	unsigned int n = CHILD_FIRST_FD + order->n_fds;

	from[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	from[1] = from[0];
	for (unsigned int i = 0; i < order->n_fds; i++)
		from[CHILD_FIRST_FD + i] = order->fds[i];
	for (unsigned int i = 0; i < n; i++) {
		from[i] = fcntl(from[i], F_DUPFD_CLOEXEC, (int)n);
		if (from[i] < 0)
			return -errno;
	}
	for (unsigned int i = 0; i < n; i++)
		if (dup2(from[i], (int)i) < 0)
			return -errno;
	close_range(n, ~0u, 0); /* what our parent left open, too */
	return 0;
}

/* No handler of ours runs here; what our parent had us ignore it ignores, too. */
static void restore_signals(void)
{
	struct sigaction plain = { .sa_handler = SIG_DFL }, now;
	sigset_t none;

	for (int i = 1; i < NSIG; i++)
		if (i == SIGPIPE || (!sigaction(i, NULL, &now) && now.sa_handler != SIG_IGN))
			sigaction(i, &plain, NULL);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

static int child_main(void *arg)
{
	struct order *order = arg;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != order->parent)
		_exit(1);
	setsid();
	order->err = -place_fds(order);
	if (!order->err && order->prepare)
		order->err = -order->prepare(order->ctx);
	if (!order->err) {
		restore_signals();
		execvp(order->argv[0], (char *const *)order->argv);
		order->err = errno;
	}
	_exit(127);
}

/* ---- in us ---- */

/* As vfork(2) does, but on a stack of its own: guest RAM is not copied, not even its page tables.
 * We go on when it has become the other program, or ended.
 */
static int launch(struct order *order, pid_t *pid, int *pidfd)
{
	char *stack = aligned_alloc(16, STACK_SIZE);
	sigset_t all, before;

	if (!stack)
		return -ENOMEM;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	*pid = clone(child_main, stack + STACK_SIZE, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD,
		order, pidfd);
	if (*pid < 0)
		order->err = errno;
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	free(stack);
	return -order->err;
}

static void reap(const struct child *child, siginfo_t *info)
{
	*info = (siginfo_t){ 0 };
	while (waitid(P_PIDFD, (id_t)child->pidfd, info, WEXITED) && errno == EINTR)
		;
}

static void close_fds(struct child *child)
{
	if (child->pidfd >= 0)
		close(child->pidfd);
	close(child->words_fd);
	child->pidfd = child->words_fd = -1;
}

int child_start_in(struct child *child, const char *const *argv, const int *fds, unsigned int n_fds,
	int (*prepare)(const void *ctx), const void *ctx, struct diag *diag)
{
	struct order order = {
		.argv = argv,
		.fds = fds,
		.n_fds = n_fds,
		.prepare = prepare,
		.ctx = ctx,
		.parent = getpid(),
	};
	siginfo_t info;
	int words[2], ret;

	BUG_ON(n_fds > CHILD_MAX_FDS);
	/* Its end, too, for nobody may read. */
	if (pipe2(words, O_CLOEXEC | O_NONBLOCK))
		return diag_fail(diag, errno, "pipe: %s", error_text(errno));
	*child = (struct child){ .name = argv[0], .pid = -1, .pidfd = -1, .words_fd = words[0] };
	order.words_fd = words[1];
	ret = launch(&order, &child->pid, &child->pidfd);
	close(words[1]);
	if (!ret)
		return 0;
	if (child->pid > 0)
		reap(child, &info);
	close_fds(child);
	return diag_fail(diag, -ret, "cannot start %s: %s", argv[0], error_text(-ret));
}

int child_start(struct child *child, const char *const *argv, const int *fds, unsigned int n_fds,
	struct diag *diag)
{
	return child_start_in(child, argv, fds, n_fds, NULL, NULL, diag);
}

static bool begins(const char *line, const char *with)
{
	return !strncmp(line, with, strlen(with));
}

/* Without what a syslog that is not there makes some say of each line, and without the panic of a
 * program in Rust that has said before what is wrong.
 */
static const char *last_line(char *words)
{
	char *last = NULL;

	for (char *line; (line = strsep(&words, "\n")) != NULL;) {
		if (last && begins(line, "thread '"))
			break;
		if (*line && !begins(line, "Failed to send "))
			last = line;
	}
	return last;
}

void child_describe_end(struct child *child, struct diag *diag)
{
	char words[2048];
	ssize_t n = read(child->words_fd, words, sizeof(words) - 1);
	const char *last;
	siginfo_t info;

	words[n > 0 ? n : 0] = '\0';
	last = last_line(words);
	reap(child, &info);
	if (info.si_code == CLD_EXITED)
		diag_fail(diag, ECHILD, "%s has ended with status %d%s%.300s", child->name,
			info.si_status, last ? ": " : "", last ? last : "");
	else
		diag_fail(diag, ECHILD, "%s was ended by signal %d (%s)", child->name,
			info.si_status, strsignal(info.si_status));
	child->pid = -1;
}

static bool ends_within(const struct child *child, int ms)
{
	struct pollfd end = { .fd = child->pidfd, .events = POLLIN };

	return poll(&end, 1, ms) == 1;
}

static void send_signal(const struct child *child, int signal)
{
	syscall(SYS_pidfd_send_signal, child->pidfd, signal, NULL, 0);
}

void child_end(struct child *child)
{
	siginfo_t info;

	if (child->pid > 0) {
		send_signal(child, SIGTERM);
		if (!ends_within(child, PATIENCE_MS))
			send_signal(child, SIGKILL);
		reap(child, &info);
		child->pid = -1;
	}
	close_fds(child);
}
