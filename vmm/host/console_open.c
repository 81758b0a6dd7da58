// SPDX-License-Identifier: MIT
/* console_open.c - what the host's end of the serial line can be */

#include "host/console.h"
#include "host/terminal.h"
#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <termios.h>
#include <unistd.h>

/* Takes the output over, also when it fails. */
static struct console *console_create(int in_fd, struct stream out, struct diag *diag)
{
	struct console *console = malloc(sizeof(*console));

	if (!console) {
		diag_fail(diag, ENOMEM, "out of memory");
		stream_close(&out);
		return NULL;
	}
	memset(console, 0, offsetof(struct console, out));
	console->in_fd = in_fd;
	console->extra_fd = -1;
	console->in_ended = in_fd < 0;
	if (output_init(&console->out, "console", out, diag))
		goto err_console;
	console->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (console->wake.fd >= 0)
		return console;
	diag_fail(diag, errno, "console: eventfd: %s", strerror(errno));
	output_fini(&console->out, -1);
err_console:
	free(console);
	return NULL;
}

struct console *console_open_stdio(struct diag *diag)
{
	struct console *console = console_create(
		STDIN_FILENO, stream_share(STDOUT_FILENO, O_WRONLY), diag);

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
	return console_create(-1, stream_own(-1), diag);
}

struct console *console_open_file(const char *path, struct diag *diag)
{
	/* Without O_NONBLOCK a FIFO that nobody reads would hold us here. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd < 0) {
		diag_fail(diag, errno, "--console file:%s: %s", path,
			errno == ENXIO ? "nobody reads this FIFO; start its reader first"
				       : strerror(errno));
		return NULL;
	}
	return console_create(-1, stream_own(fd), diag);
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
	struct console *console;

	if (ret) {
		diag_fail(diag, -ret, "--console pty: %s", strerror(-ret));
		goto err_pty;
	}
	console = console_create(fd[0], stream_own(fd[1]), diag);
	fd[1] = -1;
	if (!console)
		goto err_pty;
	console->extra_fd = fd[2];
	log_say("the guest's console is %s", name);
	return console;

err_pty:
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return NULL;
}
