// SPDX-License-Identifier: MIT
/* terminal.c - the operator's terminal in raw mode, and back on every way out
 *
 * The saved settings are file-scope state: a fatal signal's handler has nothing else to find them
 * by.
 */

#include "host/terminal.h"

#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define MAX_NESTED 8 /* timeouts in each other */

static struct termios saved, raw;
static volatile sig_atomic_t raw_fd = -1;
static volatile pid_t lender; /* who had the foreground that terminal_take() took; 0: nobody */

enum terminal terminal_look(int fd)
{
	unsigned int number;
	pid_t foreground;

	if (!isatty(fd) || !ioctl(fd, TIOCGPTN, &number))
		return TERMINAL_NONE;
	foreground = tcgetpgrp(fd);
	if (foreground < 0) /* not our controlling terminal */
		return errno == ENOTTY ? TERMINAL_OURS : TERMINAL_NONE;
	return foreground == getpgrp() ? TERMINAL_OURS : TERMINAL_OTHERS;
}

/* ---- the foreground ---- */

struct process {
	pid_t pid, parent;
	bool ignores; /* SIGTTOU */
};

/* Those that were looked at: a process that is confined can do so no more, and they stay as they
 * are.
 */
static struct process known[2 * MAX_NESTED];
static unsigned int n_known;

static bool read_process(struct process *process)
{
	char path[32], line[256];
	bool found = false;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)process->pid);
	file = fopen(path, "re");
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		if (!strncmp(line, "PPid:", 5))
			process->parent = atoi(line + 5);
		if (!strncmp(line, "SigIgn:", 7)) {
			process->ignores = strtoull(line + 7, NULL, 16) >> (SIGTTOU - 1) & 1;
			found = true;
		}
	}
	fclose(file);
	return found;
}

/* NULL: nothing is known of it. */
static const struct process *look_at(pid_t pid)
{
	for (unsigned int i = 0; i < n_known; i++)
		if (known[i].pid == pid)
			return &known[i];
	if (n_known == ARRAY_SIZE(known))
		return NULL;
	known[n_known] = (struct process){ .pid = pid };
	return read_process(&known[n_known]) ? &known[n_known++] : NULL;
}

/* Both timeout(1) and a shell with job control ignore SIGTTOU, the one to be safe in the background
 * that it makes of itself, the other to take the terminal back.  So it is timeout's group if its
 * leader ignores the signal, and the leader's parent does not.  It counts as where that parent is:
 * in the foreground, in the background of a shell, or in the group of one more timeout.
 */
static bool group_is_nobodys_job(pid_t group, pid_t foreground)
{
	for (int i = 0; group != foreground; i++) {
		const struct process *leader = i < MAX_NESTED ? look_at(group) : NULL, *parent;

		if (!leader || !leader->ignores)
			return false;
		parent = look_at(leader->parent);
		if (!parent || parent->ignores)
			return false;
		group = getpgid(parent->pid);
	}
	return true;
}

/* From the background, too: SIGTTOU would stop us there. */
static int set_foreground(int fd, pid_t group)
{
	sigset_t set, old;
	int ret;

	sigemptyset(&set);
	sigaddset(&set, SIGTTOU);
	pthread_sigmask(SIG_BLOCK, &set, &old);
	ret = tcsetpgrp(fd, group);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return ret;
}

bool terminal_take(int fd)
{
	pid_t foreground = tcgetpgrp(fd);

	/* A shell's job leads its group itself. */
	if (foreground <= 0 || getppid() != getpgrp() ||
		!group_is_nobodys_job(getpgrp(), foreground) || set_foreground(fd, getpgrp()))
		return false;
	lender = foreground;
	return true;
}

/* ---- raw mode ---- */

void terminal_restore(void)
{
	int fd = raw_fd;

	if (fd < 0)
		return;
	raw_fd = -1;
	if (terminal_look(fd) == TERMINAL_OURS) {
		tcsetattr(fd, TCSANOW, &saved);
		if (lender)
			set_foreground(fd, lender);
	}
	lender = 0;
	log_set_raw(false);
}

void terminal_forget(void)
{
	raw_fd = -1;
	log_set_raw(false);
}

void terminal_stop(void)
{
	sigset_t set, old;

	sigemptyset(&set);
	sigaddset(&set, SIGTSTP);
	pthread_sigmask(SIG_UNBLOCK, &set, &old);
	raise(SIGTSTP);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
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

static void restore_at_any_end(void)
{
	struct sigaction action = { .sa_handler = fatal_handler, .sa_flags = (int)SA_RESETHAND };
	static bool is_done;

	if (is_done)
		return;
	is_done = true;
	sigemptyset(&action.sa_mask);
	for (size_t i = 0; i < ARRAY_SIZE(fatal); i++)
		BUG_ON(sigaction(fatal[i], &action, NULL));
	atexit(terminal_restore);
}

/* Raw, as we left it when we were stopped. */
static bool is_as_left(const struct termios *now)
{
	return now->c_iflag == raw.c_iflag && now->c_oflag == raw.c_oflag &&
	       now->c_cflag == raw.c_cflag && now->c_lflag == raw.c_lflag;
}

int terminal_set_raw(int fd)
{
	struct termios now;

	if (tcgetattr(fd, &now))
		return -errno;
	if (!is_as_left(&now)) /* else what was saved before is right */
		saved = now;
	raw = saved;
	cfmakeraw(&raw);
	restore_at_any_end();
	raw_fd = fd;
	if (tcsetattr(fd, TCSANOW, &raw) || tcgetattr(fd, &raw)) {
		raw_fd = -1;
		return -errno;
	}
	log_set_raw(isatty(STDERR_FILENO));
	return 0;
}
