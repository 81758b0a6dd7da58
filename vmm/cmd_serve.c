// SPDX-License-Identifier: MIT
/* cmd_serve.c - pronto serve: have a snapshot ready for machines to begin with */

#include "cmd.h"
#include "exit_codes.h"
#include "util/listener.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/served.h"
#include "vm/warm.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define BACKLOG 1024

static void print_help(FILE *out)
{
	fputs("usage: pronto serve SNAPSHOT --socket PATH\n\n"
	      "Have a snapshot's memory mapped and KVM open, and fork a process for each machine that\n"
	      "`pronto clone PATH` asks for.  The machines live on when this is ended.\n\n"
	      "Options:\n"
	      "      --socket PATH  where to listen; a socket that nobody serves is replaced\n"
	      "  -v, --verbose      say more; twice for still more\n"
	      "  -h, --help         print this help and end\n\n"
	      "Exit status: 0 it was told to end (SIGTERM), 1 host error, 2 unusable option or file.\n",
		out);
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
		log_warn("cannot fork: %s", strerror(errno));
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

static int serve(struct warm *warm, struct listener *listener)
{
	bool is_child = false;
	int ret = 0;

	set_signals();
	if (fcntl(listener->fd, F_SETFL, 0)) {
		log_error("%s: %s", listener->path, strerror(errno));
		return EXIT_HOST_ERROR;
	}
	while (!is_over && !is_child)
		ret = serve_one(warm, listener, &is_child);
	if (is_child)
		listener->fd = -1;
	return ret;
}

int cmd_serve(int argc, char **argv)
{
	static const struct option options[] = {
		{ "socket", required_argument, NULL, 's' },
		{ "verbose", no_argument, NULL, 'v' },
		{ "help", no_argument, NULL, 'h' },
		{ 0 },
	};
	enum log_level level = LOG_LEVEL_WARN;
	struct listener listener;
	const char *path = NULL;
	struct warm warm;
	mode_t mask;
	struct diag diag;
	int c, ret;

	opterr = 0;
	optind = 0;
	while ((c = getopt_long(argc, argv, "vh", options, NULL)) != -1) {
		if (c == 'h') {
			print_help(stdout);
			return 0;
		}
		if (c == '?') {
			log_error(
				"serve: %s: unknown option, or one without its argument; see `pronto "
				"serve --help`",
				argv[optind - 1]);
			return EXIT_OPERATOR;
		}
		if (c == 's')
			path = optarg;
		else
			level = level < LOG_LEVEL_DEBUG ? level + 1 : level;
	}
	if (argc - optind != 1 || !path) {
		log_error("serve: give a snapshot and --socket; see `pronto serve --help`");
		return EXIT_OPERATOR;
	}
	log_set_level(level);
	ret = warm_open(&warm, argv[optind], &diag);
	if (ret) {
		log_error("%s", diag.text);
		return (int)exit_code_of(-ret);
	}
	mask = umask(0177); /* whoever may come to it may start machines */
	ret = listener_open(&listener, path, BACKLOG);
	umask(mask);
	if (ret) {
		log_error("%s: cannot listen there: %s", path, strerror(-ret));
		ret = EXIT_OPERATOR;
	} else {
		ret = serve(&warm, &listener);
		listener_close(&listener);
	}
	warm_close(&warm);
	return ret;
}
