// SPDX-License-Identifier: MIT
/* console_open.c - what the host's end of the serial line can be */

#include "dev/console.h"
#include "dev/terminal.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

static struct console *console_create(int in_fd, int out_fd, struct diag *diag)
{
	struct console *console = malloc(sizeof(*console));
	pthread_condattr_t monotonic;

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
	console->stall.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (console->wake.fd < 0 || console->stall.fd < 0) {
		diag_fail(diag, errno, "eventfd, timerfd: %s", strerror(errno));
		goto err;
	}
	pthread_mutex_init(&console->lock, NULL);
	pthread_condattr_init(&monotonic);
	pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
	pthread_cond_init(&console->changed, &monotonic);
	pthread_condattr_destroy(&monotonic);
	return console;

err:
	if (console->wake.fd >= 0)
		close(console->wake.fd);
	if (console->stall.fd >= 0)
		close(console->stall.fd);
	free(console);
	return NULL;
}

struct console *console_open_stdio(struct diag *diag)
{
	struct console *console = console_create(STDIN_FILENO, STDOUT_FILENO, diag);

	if (!console)
		return NULL;
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
		console->owned = true;
	else
		close(fd);
	return console;
}

static int pty_open(int *other, char *name, size_t size)
{
	struct termios raw;
	int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), err;

	if (fd < 0)
		return -errno;
	if (grantpt(fd) || unlockpt(fd))
		goto err;
	errno = ptsname_r(fd, name, size);
	if (errno)
		goto err;
	*other = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (*other < 0)
		goto err;
	if (!tcgetattr(*other, &raw)) {
		cfmakeraw(&raw);
		tcsetattr(*other, TCSANOW, &raw);
	}
	return fd;

err:
	err = errno;
	close(fd);
	return -err;
}

struct console *console_open_pty(struct diag *diag)
{
	char name[64];
	int other = -1, fd = pty_open(&other, name, sizeof(name));
	struct console *console;

	if (fd < 0) {
		diag_fail(diag, -fd, "--console pty: %s", strerror(-fd));
		return NULL;
	}
	console = console_create(fd, fd, diag);
	if (!console) {
		close(other);
		close(fd);
		return NULL;
	}
	console->owned = true;
	console->extra_fd = other;
	fprintf(stderr, "pronto: the guest's console is %s\n", name);
	return console;
}
