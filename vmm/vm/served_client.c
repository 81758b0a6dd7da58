// SPDX-License-Identifier: MIT
/* served_client.c - the client of a machine that a server begins for it */

#include "util/error.h"
#include "vm/served.h"

#include "exit_codes.h"
#include "util/listener.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <unistd.h>

static pid_t machine_pid;

static void pass_signal(int sig)
{
	if (machine_pid > 0)
		kill(machine_pid, sig);
}

/* What would end us is for the machine; what comes before it is there waits. */
static void pass_signals(bool on)
{
	struct sigaction pass = { .sa_handler = pass_signal };
	sigset_t set;

	sigemptyset(&set);
	for (const int *sig = (const int[]){ SIGTERM, SIGINT, SIGHUP, SIGQUIT, 0 }; *sig; sig++) {
		sigaddset(&set, *sig);
		if (on)
			sigaction(*sig, &pass, NULL);
	}
	sigprocmask(on ? SIG_UNBLOCK : SIG_BLOCK, &set, NULL);
}

static int await_machine(int fd)
{
	int32_t pid, status;
	int ret = served_hear(fd, &pid);

	if (ret)
		return ret;
	machine_pid = pid;
	pass_signals(true);
	ret = served_hear(fd, &status);
	return ret ? ret : status;
}

int served_have_machine(const char *path, int argc, char *const *argv, uint32_t number)
{
	int fd = listener_connect(path), ret;

	pass_signals(false);
	ret = fd < 0 ? fd : served_ask(fd, argc, argv, number);
	if (!ret)
		ret = await_machine(fd);
	if (fd >= 0)
		close(fd);
	if (ret >= 0)
		return ret;
	log_error("%s: %s", path,
		ret == -ECONNRESET ? "the machine's process has ended without a word"
				   : error_text(-ret));
	return EXIT_HOST_ERROR;
}
