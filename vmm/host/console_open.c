// SPDX-License-Identifier: MIT
/* console_open.c - what the host's end of a console can be */

#include "host/console_door.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

static bool are_one_terminal(int in_fd, int out_fd)
{
	struct stat in, out;

	return !fstat(in_fd, &in) && !fstat(out_fd, &out) && in.st_rdev == out.st_rdev;
}

/* Takes both streams over, also when it fails. */
static struct console *create(
	const struct console_spec *spec, struct stream in, struct stream out, struct diag *diag)
{
	struct console *console = malloc(sizeof(*console));

	if (!console) {
		diag_fail(diag, ENOMEM, "out of memory");
		stream_close(&in);
		stream_close(&out);
		return NULL;
	}
	console->door.at.fd = -1;
	console->extra_fd = -1;
	console->is_screen = out.is_device && isatty(out.fd);
	console->is_one_terminal = console->is_screen && are_one_terminal(in.fd, out.fd);
	console->screen = (struct screen){ 0 };
	if (output_init(&console->out, spec->name, out, diag)) {
		stream_close(&in);
		goto err_console;
	}
	console->out.is_patient = spec->is_patient;
	if (!input_init(&console->in, in, spec->escape_key, diag))
		return console;
	output_fini(&console->out, -1);
err_console:
	free(console);
	return NULL;
}

static struct console *open_stdio(const struct console_spec *spec, struct diag *diag)
{
	return create(spec, stream_share(STDIN_FILENO, O_RDONLY),
		stream_share(STDOUT_FILENO, O_WRONLY), diag);
}

static struct console *open_null(const struct console_spec *spec, struct diag *diag)
{
	return create(spec, stream_own(-1), stream_own(-1), diag);
}

static struct console *open_file(const struct console_spec *spec, struct diag *diag)
{
	struct stream stream = output_open_file(spec->option, spec->path, diag);

	return stream.fd < 0 ? NULL : create(spec, stream_own(-1), stream, diag);
}

static struct console *open_socket(const struct console_spec *spec, struct diag *diag)
{
	struct console *console = open_null(spec, diag);

	if (!console || !door_open(console, spec, diag))
		return console;
	console_destroy(console, -1);
	return NULL;
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

static struct console *open_pty(const struct console_spec *spec, struct diag *diag)
{
	char name[64];
	int fd[3] = { -1, -1, -1 }, ret = pty_open(fd, name, sizeof(name));
	struct console *console;

	if (ret) {
		diag_fail(diag, -ret, "%s pty: %s", spec->option, error_text(-ret));
		goto err_pty;
	}
	console = create(spec, stream_own(fd[0]), stream_own(fd[1]), diag);
	fd[0] = fd[1] = -1;
	if (!console)
		goto err_pty;
	console->extra_fd = fd[2];
	log_say("the guest's %s is %s", spec->name, name);
	return console;

err_pty:
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		if (fd[i] >= 0)
			close(fd[i]);
	return NULL;
}

struct console *console_open(const struct console_spec *spec, struct diag *diag)
{
	switch (spec->kind) {
	case CONSOLE_FILE: return open_file(spec, diag);
	case CONSOLE_PTY: return open_pty(spec, diag);
	case CONSOLE_SOCKET: return open_socket(spec, diag);
	case CONSOLE_NULL: return open_null(spec, diag);
	default: return open_stdio(spec, diag);
	}
}
