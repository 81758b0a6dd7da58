// SPDX-License-Identifier: MIT
/* cmd_clone.c - pronto clone: machines that begin with one snapshot */

#include "cmd.h"
#include "exit_codes.h"
#include "util/error.h"
#include "util/log.h"
#include "util/size.h"
#include "util/timeline.h"
#include "vm/served.h"
#include "vm/warm.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MAX_CLONES 100000

static void print_help(FILE *out)
{
	fputs("usage: pronto clone SNAPSHOT|SOCKET [--count N] [options]\n\n"
	      "Have machines go on from one snapshot, each in a process of its own: from a directory, or\n"
	      "through the socket of a `pronto serve` that has it ready.  What they do not write they share.\n"
	      "Options are those of `pronto restore`; in each of them %n is the machine's number, from 0,\n"
	      "and %2n has two digits.\n\n"
	      "Options:\n"
	      "      --count N  how many (default: 1)\n"
	      "  -h, --help     print this help and end\n\n"
	      "Exit status: that of the first machine that did not power off, or 0.\n",
		out);
}

struct clones {
	const char *path;
	unsigned int count;
	int argc; /* what each is given, as `pronto restore` would be */
	char **argv;
};

/* ---- all of them ---- */

/* The worst of what they came to, the first one's. */
static int await_all(unsigned int n)
{
	int worst = 0, status;

	while (n) {
		if (wait(&status) < 0) {
			if (errno == EINTR)
				continue;
			return worst;
		}
		n--;
		if (!worst)
			worst = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	}
	return worst;
}

/* One process each; *is_child: we are that of one. */
static int fork_all(const struct clones *clones, struct warm *warm, bool *is_child)
{
	for (unsigned int i = 0; i < clones->count; i++) {
		uint64_t since_ns = timeline_now();
		pid_t pid = fork();

		if (pid < 0) {
			log_error("machine %u: cannot fork: %s", i, error_text(errno));
			return await_all(i) ?: EXIT_HOST_ERROR;
		}
		if (pid)
			continue;
		*is_child = true;
		return warm ? warm_live(warm, clones->argc, clones->argv, i, since_ns)
		            : served_have_machine(clones->path, clones->argc, clones->argv, i);
	}
	/* The keys of a terminal are for the machines. */
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	return await_all(clones->count);
}

static int from_snapshot(const struct clones *clones)
{
	bool is_child = false;
	struct warm warm;
	struct diag diag;
	int ret = warm_open(&warm, clones->path, &diag);

	if (ret) {
		log_error("%s", diag.text);
		return (int)exit_code_of(-ret);
	}
	ret = fork_all(clones, &warm, &is_child);
	warm_close(&warm);
	return ret;
}

static int from_socket(const struct clones *clones)
{
	bool is_child = false;

	if (clones->count == 1)
		return served_have_machine(clones->path, clones->argc, clones->argv, 0);
	return fork_all(clones, NULL, &is_child);
}

/* Ours are taken out of the arguments; what is left is each machine's. */
static int parse(struct clones *clones, int argc, char **argv)
{
	clones->count = 1;
	clones->argv = argv;
	clones->argc = 1;
	for (int i = 1; i < argc; i++) {
		char *word = argv[i];
		const char *value = NULL;
		uint64_t n;

		if (!strcmp(word, "--count") && i + 1 < argc)
			value = argv[++i];
		else if (!strncmp(word, "--count=", strlen("--count=")))
			value = word + strlen("--count=");
		if (value && (!size_parse(value, &n) || !n || n > MAX_CLONES))
			return -EINVAL;
		if (value)
			clones->count = (unsigned int)n;
		else if (word[0] != '-' && !clones->path)
			clones->path = word;
		else
			argv[clones->argc++] = word;
	}
	argv[clones->argc] = NULL;
	return clones->path ? 0 : -ENOENT;
}

int cmd_clone(int argc, char **argv)
{
	struct clones clones = { 0 };
	struct stat st;
	int ret;

	if (argc > 1 && (!strcmp(argv[1], "-h") || !strcmp(argv[1], "--help"))) {
		print_help(stdout);
		return 0;
	}
	ret = parse(&clones, argc, argv);
	if (ret) {
		log_error(
			ret == -ENOENT
				? "clone: give a snapshot, or a socket, first; see `pronto clone --help`"
				: "clone: --count takes a number from 1 to 100000");
		return EXIT_OPERATOR;
	}
	return !stat(clones.path, &st) && S_ISSOCK(st.st_mode) ? from_socket(&clones)
	                                                       : from_snapshot(&clones);
}
