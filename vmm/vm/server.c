// SPDX-License-Identifier: MIT
/* server.c - a process that has a machine's state ready, and machines begin with it as clients ask
 */

#include "vm/server.h"

#include "exit_codes.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/served.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG     1024
#define PATIENCE_MS 5000 /* with the one client that there is to be */

int server_listen(struct listener *listener, const char *path)
{
	mode_t mask = umask(0177);
	int ret = listener_open(listener, path, BACKLOG);

	umask(mask);
	return ret;
}

static volatile sig_atomic_t is_over;

static void end_handler(int)
{
	is_over = 1;
}

/* Whose ends nobody waits for, and which signals end it. */
static void set_signals(void)
{
	struct sigaction end = { .sa_handler = end_handler };
	struct sigaction ignore = { .sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT };

	sigaction(SIGTERM, &end, NULL);
	sigaction(SIGINT, &end, NULL);
	sigaction(SIGCHLD, &ignore, NULL);
}

static void unset_signals(void)
{
	struct sigaction by_default = { .sa_handler = SIG_DFL };

	sigaction(SIGTERM, &by_default, NULL);
	sigaction(SIGINT, &by_default, NULL);
	sigaction(SIGCHLD, &by_default, NULL);
}

/* A client that sends nothing keeps nobody but this process waiting. */
static int be_machine(struct warm *warm, int fd, uint64_t since_ns)
{
	struct served_request *request = malloc(sizeof(*request));
	int ret = request ? served_take(fd, request) : -ENOMEM;

	unset_signals();
	if (!ret)
		ret = served_tell(fd, getpid());
	if (ret)
		return EXIT_HOST_ERROR;
	log_open(); /* standard error is the client's now */
	warm->leash_fd = fd;
	ret = warm_live(warm, request->argc, request->argv, request->number, since_ns);
	log_finish();
	fflush(stdout);
	served_tell(fd, ret & 0xff);
	return ret;
}

/* 0: go on; else the status to end with, in the parent or a child. */
static int serve_one(struct warm *warm, struct listener *listener, bool *is_child)
{
	int fd = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC), ret;
	uint64_t since_ns = timeline_now();
	pid_t pid;

	if (fd < 0)
		return 0; /* who came has left, or it is time to end */
	pid = fork();
	if (pid < 0)
		log_warn("cannot fork: %s", error_text(errno));
	if (pid) {
		close(fd);
		return 0;
	}
	*is_child = true;
	close(listener->fd);
	ret = be_machine(warm, fd, since_ns);
	close(fd);
	return ret;
}

/* The time to end comes by a signal, which ends the call. */
static int wait_in_accept(const struct listener *listener)
{
	if (!fcntl(listener->fd, F_SETFL, 0))
		return 0;
	log_error("%s: %s", listener->path, error_text(errno));
	return EXIT_HOST_ERROR;
}

int server_run(struct warm *warm, struct listener *listener)
{
	bool is_child = false;
	int ret;

	set_signals();
	ret = wait_in_accept(listener);
	while (!ret && !is_over && !is_child)
		ret = serve_one(warm, listener, &is_child);
	if (is_child)
		listener->fd = -1;
	listener_close(listener);
	return ret;
}

/* The connection, or -1: nobody came, or it is time to end. */
static int await_client(const struct listener *listener)
{
	struct pollfd ready = { .fd = listener->fd, .events = POLLIN };

	if (is_over || poll(&ready, 1, PATIENCE_MS) <= 0)
		return -1;
	return accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
}

int server_run_once(struct warm *warm, struct listener *listener)
{
	int fd, ret = EXIT_HOST_ERROR;

	set_signals();
	fd = await_client(listener);
	listener_close(listener);
	if (fd < 0)
		return ret;
	ret = be_machine(warm, fd, timeline_now());
	close(fd);
	return ret;
}
