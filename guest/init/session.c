// SPDX-License-Identifier: GPL-2.0 OR MIT
/* session.c - the operator's shell, with a terminal of its own; or the operator's pid 1 */

#include "init.h"
#include "sys.h"

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <asm/ioctls.h>
#include <asm/signal.h>
#include <asm/termbits.h>
#include <linux/termios.h>

/* The device behind /dev/console: itself it cannot become a session's terminal.  The kernel names
 * the one that it opens last.
 */
static long open_terminal(void)
{
	char path[64] = "/dev/", names[256] = "";
	long fd = sys_open("/sys/class/tty/console/active", O_RDONLY | O_CLOEXEC), n = 0, at, i = 5;

	if (fd >= 0) {
		n = sys_read((int)fd, names, sizeof(names));
		sys_close((int)fd);
	}
	while (n > 0 && (names[n - 1] == '\n' || names[n - 1] == ' '))
		n--;
	for (at = n; at > 0 && names[at - 1] != ' ';)
		at--;
	while (at < n && i < (long)sizeof(path) - 1)
		path[i++] = names[at++];
	fd = i > 5 ? sys_open(path, O_RDWR) : -ENOENT;
	return fd >= 0 ? fd : sys_open("/dev/console", O_RDWR);
}

static void set_size(int fd, const struct settings *settings)
{
	struct winsize size = { 0 };

	if (!settings->rows || (!sys_ioctl(fd, TIOCGWINSZ, &size) && size.ws_row))
		return;
	size.ws_row = settings->rows;
	size.ws_col = settings->columns;
	sys_ioctl(fd, TIOCSWINSZ, &size);
}

static void set_plain(int fd)
{
	struct termios termios = { 0 };

	if (sys_ioctl(fd, TCGETS, &termios))
		return;
	termios.c_oflag &= ~(tcflag_t)OPOST;
	termios.c_lflag &= ~(tcflag_t)ECHO;
	sys_ioctl(fd, TCSETS, &termios);
}

static void take_terminal(const struct settings *settings)
{
	long fd = open_terminal();

	if (fd < 0)
		return;
	sys_ioctl((int)fd, TIOCSCTTY, (const void *)1);
	set_size((int)fd, settings);
	if (settings->plain)
		set_plain((int)fd);
	for (int to = 0; to < 3; to++)
		sys3(__NR_dup2, fd, to, 0);
	if (fd > 2)
		sys_close((int)fd);
}

static void exec(const struct settings *settings, const char *const *argv, const char *path)
{
	const char *const env[] = {
		"HOME=/root",
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
		settings->term,
		NULL,
	};

	sys_execve(path, argv, env);
}

static void run_shell(const struct settings *settings)
{
	const char *const talk[] = { "sh", NULL }, *const bash[] = { "bash", NULL };
	const char *const obey[] = { "sh", "-c", settings->exec, NULL };

	if (!settings->dir || sys_chdir(settings->dir))
		sys_chdir("/");
	if (settings->exec) {
		exec(settings, obey, "/bin/sh");
	} else {
		exec(settings, bash, "/bin/bash");
		exec(settings, talk, "/bin/sh");
	}
	complain("cannot run", "/bin/sh", 0, NULL);
}

int session_run(const struct settings *settings)
{
	long pid = sys3(__NR_fork, 0, 0, 0), ended;
	int status = 0;

	if (!pid) {
		sys3(__NR_setsid, 0, 0, 0);
		take_terminal(settings);
		run_shell(settings);
		sys3(__NR_exit_group, 127, 0, 0);
	}
	if (pid < 0)
		give_up("cannot start", "a shell", pid, NULL);
	do
		ended = sys6(__NR_wait4, -1, (long)&status, 0, 0, 0, 0);
	while (ended != pid && (ended > 0 || ended == -EINTR));
	return status;
}

void session_become(const struct settings *settings)
{
	const char *const argv[] = { settings->init, NULL };

	exec(settings, argv, settings->init);
	give_up("cannot run", settings->init, 0, NULL);
}
