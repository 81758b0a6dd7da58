// SPDX-License-Identifier: MIT
/* helper.c - a small process beside ours, for what we give up: it is asked, and answers */

#include "confine/helper.h"

#include "confine/confine.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- in it ---- */

/* Nothing that it opens later has one of their numbers, where a message might go. */
static void leave_standard_files(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	for (int i = STDIN_FILENO; i <= STDERR_FILENO; i++)
		if (fd < 0 || dup2(fd, i) < 0)
			close(i);
	if (fd > STDERR_FILENO)
		close(fd);
}

static void close_others(const struct helper_order *order, int fd)
{
	struct confine_kept kept = { 0 };

	confine_keep(&kept, fd);
	for (size_t i = 0; i < order->n_fds; i++)
		confine_keep(&kept, order->fds[i]);
	confine_close_others(&kept);
	leave_standard_files();
}

static _Noreturn void be_helper(const struct helper_order *order, int fd)
{
	_Alignas(max_align_t) char question[HELPER_QUESTION];
	sigset_t all;

	sigfillset(&all);
	sigprocmask(SIG_SETMASK, &all, NULL);
	setsid();
	prctl(PR_SET_NAME, order->name);
	prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	close_others(order, fd);
	if (order->is_filtered)
		confine_thread(order->role, false);
	while (recv(fd, question, order->question_size, 0) == (ssize_t)order->question_size)
		order->serve(order->ctx, fd, question);
	order->end(order->ctx);
	_exit(0);
}

void helper_answer(int to, const void *answer, size_t size, const int *fds, size_t n)
{
	(void)rights_send(to, answer, size, fds, n, 0);
}

/* ---- in ours ---- */

int helper_start(struct helper *helper, const struct helper_order *order, struct diag *diag)
{
	int pair[2], err;

	BUG_ON(order->question_size > HELPER_QUESTION);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
		return diag_fail(diag, errno, "socketpair: %s", error_text(errno));
	helper->pid = fork();
	if (!helper->pid)
		be_helper(order, pair[1]);
	err = errno;
	close(pair[1]);
	if (helper->pid > 0) {
		helper->fd = pair[0];
		return 0;
	}
	close(pair[0]);
	return diag_fail(diag, err, "fork: %s", error_text(err));
}

int helper_ask(const struct helper *helper, const void *question, size_t question_size,
	void *answer, size_t size, int *fds, size_t *n)
{
	ssize_t got;

	if (send(helper->fd, question, question_size, MSG_NOSIGNAL) < 0)
		got = -errno;
	else
		got = rights_receive(helper->fd, answer, size, fds, n, 0);
	if (got == (ssize_t)size)
		return 0;
	*n = 0;
	return got < 0 ? (int)got : -ECONNRESET;
}

void helper_end(struct helper *helper)
{
	siginfo_t info;

	if (helper->fd < 0)
		return;
	close(helper->fd);
	helper->fd = -1;
	while (waitid(P_PID, (id_t)helper->pid, &info, WEXITED) && errno == EINTR)
		continue;
}
