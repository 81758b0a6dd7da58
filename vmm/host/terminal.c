// SPDX-License-Identifier: MIT
/* terminal.c - the operator's terminal in raw mode, and back on every way out
 *
 * The saved settings are this program's third piece of file-scope state (after the log level and
 * the kick's thread-local): a fatal signal's handler has nothing else to find them by.
 */

#include "host/terminal.h"

#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

static struct termios saved;
static volatile sig_atomic_t raw_fd = -1;

bool terminal_is_ours(int fd)
{
	return isatty(fd) && tcgetpgrp(fd) == getpgrp();
}

void terminal_restore(void)
{
	int fd = raw_fd;

	if (fd < 0)
		return;
	raw_fd = -1;
	tcsetattr(fd, TCSANOW, &saved);
	log_set_raw(false);
}

/* What ends a process by default, and is neither taken by the VM nor unstoppable. */
static const int fatal[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGSYS, SIGTRAP, SIGUSR1,
	SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGXCPU, SIGIO, SIGPWR, SIGSTKFLT };

/* The handler was reset to the default: the signal does its work when we return. */
static void fatal_handler(int sig)
{
	terminal_restore();
	raise(sig);
}

int terminal_set_raw(int fd)
{
	struct sigaction action = { .sa_handler = fatal_handler, .sa_flags = (int)SA_RESETHAND };
	struct termios raw;

	if (tcgetattr(fd, &saved))
		return -errno;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		BUG_ON(sigaction(fatal[i], &action, NULL));
	atexit(terminal_restore);
	raw = saved;
	cfmakeraw(&raw);
	raw_fd = fd;
	if (tcsetattr(fd, TCSANOW, &raw)) {
		raw_fd = -1;
		return -errno;
	}
	log_set_raw(isatty(STDERR_FILENO));
	return 0;
}
