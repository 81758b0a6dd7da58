// SPDX-License-Identifier: MIT
/* console_open.c - what the host's end of the serial line can be */

#include "host/console.h"

#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

/* Takes both streams over, also when it fails. */
static struct console *console_create(
	struct stream in, struct stream out, int escape_key, struct diag *diag)
{
	struct console *console = malloc(sizeof(*console));

	if (!console) {
		diag_fail(diag, ENOMEM, "out of memory");
		stream_close(&in);
		stream_close(&out);
		return NULL;
	}
	console->extra_fd = -1;
	console->is_screen = out.is_device && isatty(out.fd);
	console->screen = (struct screen){ 0 };
	if (output_init(&console->out, "console", out, diag)) {
		stream_close(&in);
		goto err_console;
	}
	if (!input_init(&console->in, in, escape_key, diag))
		return console;
	output_fini(&console->out, -1);
err_console:
	free(console);
	return NULL;
}

struct console *console_open_stdio(int escape_key, struct diag *diag)
{
	return console_create(stream_share(STDIN_FILENO, O_RDONLY),
		stream_share(STDOUT_FILENO, O_WRONLY), escape_key, diag);
}

struct console *console_open_null(struct diag *diag)
{
	return console_create(stream_own(-1), stream_own(-1), INPUT_NO_KEY, diag);
}

struct console *console_open_file(const char *path, struct diag *diag)
{
	struct stream stream = output_open_file("--console", path, diag);

	return stream.fd < 0 ? NULL : console_create(stream_own(-1), stream, INPUT_NO_KEY, diag);
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
	console = console_create(stream_own(fd[0]), stream_own(fd[1]), INPUT_NO_KEY, diag);
	fd[0] = fd[1] = -1;
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
