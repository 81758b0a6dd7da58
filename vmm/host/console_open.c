// SPDX-License-Identifier: MIT
/* console_open.c - what the host's end of the serial line can be */

#include "host/console.h"
#include "host/terminal.h"
#include "util/bits.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct console *console_create(int in_fd, int out_fd, struct diag *diag)
{
	struct console *console = malloc(sizeof(*console));

	if (!console) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	memset(console, 0, offsetof(struct console, ring));
	console->in_fd = in_fd;
	console->out_fd = out_fd;
	console->extra_fd = -1;
	console->in_ended = in_fd < 0;
	console->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	console->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (console->wake.fd >= 0 && console->timer.fd >= 0)
		return console;
	diag_fail(diag, errno, "eventfd, timerfd: %s", strerror(errno));
	if (console->wake.fd >= 0)
		close(console->wake.fd);
	if (console->timer.fd >= 0)
		close(console->timer.fd);
	free(console);
	return NULL;
}

/* Standard output is shared with whoever gave it to us, so that O_NONBLOCK must not be set on it.
 * To open the same pipe or terminal once more makes a description of our own.  Not for a regular
 * file, whose position is shared too, nor for ptmx(4), which would make another terminal.
 */
static void own_output(struct console *console)
{
	const dev_t ptmx = makedev(TTYAUX_MAJOR, 2);
	struct stat st;
	int fd;

	if (fstat(console->out_fd, &st) || S_ISREG(st.st_mode))
		return;
	if (S_ISSOCK(st.st_mode)) {
		console->out_kind = CONSOLE_OUT_SOCKET;
		return;
	}
	fd = S_ISCHR(st.st_mode) && st.st_rdev == ptmx
	             ? -1
	             : open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
	if (fd < 0) {
		console->out_kind = CONSOLE_OUT_BLOCKING;
		return;
	}
	console->out_fd = fd;
	console->owns_out = true;
}

struct console *console_open_stdio(struct diag *diag)
{
	struct console *console = console_create(STDIN_FILENO, STDOUT_FILENO, diag);

	if (!console)
		return NULL;
	own_output(console);
	console->is_terminal = terminal_is_ours(STDIN_FILENO);
	/* In the background, reading the terminal would stop the process. */
	if (!console->is_terminal && isatty(STDIN_FILENO))
		console->in_ended = true;
	return console;
}

struct console *console_open_null(struct diag *diag)
{
	return console_create(-1, -1, diag);
}

struct console *console_open_file(const char *path, struct diag *diag)
{
	/* Without O_NONBLOCK a FIFO that nobody reads would hold us here. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	struct console *console;

	if (fd < 0) {
		diag_fail(diag, errno, "--console file:%s: %s", path,
			errno == ENXIO ? "nobody reads this FIFO; start its reader first"
				       : strerror(errno));
		return NULL;
	}
	console = console_create(-1, fd, diag);
	if (console)
		console->owns_out = true;
	else
		close(fd);
	return console;
}

/* The terminal's two ends, the first one twice: epoll takes a descriptor once.  0 or -errno. */
static int pty_open(int fd[3], char *name, size_t size)
{
	struct termios raw;

	fd[0] = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
	if (fd[0] < 0 || grantpt(fd[0]) || unlockpt(fd[0]))
		return -errno;
	fd[1] = fcntl(fd[0], F_DUPFD_CLOEXEC, 0);
	if (fd[1] < 0)
		return -errno;
	errno = ptsname_r(fd[0], name, size);
	if (errno)
		return -errno;
	fd[2] = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (fd[2] < 0)
		return -errno;
	if (!tcgetattr(fd[2], &raw)) {
		cfmakeraw(&raw);
		tcsetattr(fd[2], TCSANOW, &raw);
	}
	return 0;
}

struct console *console_open_pty(struct diag *diag)
{
	char name[64];
	int fd[3] = { -1, -1, -1 }, ret = pty_open(fd, name, sizeof(name));
	struct console *console = NULL;

	if (ret)
		diag_fail(diag, -ret, "--console pty: %s", strerror(-ret));
	else
		console = console_create(fd[0], fd[1], diag);
	if (!console) {
		for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
			if (fd[i] >= 0)
				close(fd[i]);
		return NULL;
	}
	console->owns_out = true;
	console->extra_fd = fd[2];
	fprintf(stderr, "pronto: the guest's console is %s\n", name);
	return console;
}
