// SPDX-License-Identifier: MIT
/* console_door.c - a console at a Unix socket */

#include "host/console_door.h"

#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- who comes and leaves; the loop's thread, with the lock held ---- */

static bool has_client(const struct console *console)
{
	return console->door.hangup.fd >= 0;
}

static void end_visit(struct console *console)
{
	struct console_door *door = &console->door;

	if (!door->has_left)
		loop_remove(console->in.loop, &door->hangup);
	close(door->hangup.fd);
	door->hangup.fd = -1;
	if (console->ops->connected)
		console->ops->connected(console->ctx, false);
	input_set_stream(&console->in, stream_own(-1));
	output_set_stream(&console->out, stream_own(-1));
}

static bool has_unread_input(const struct console *console)
{
	int n;

	return console->in.count || (console->in.state == INPUT_OPEN &&
					    (ioctl(console->in.stream.fd, FIONREAD, &n) || n > 0));
}

static void hung_up(void *ctx, uint32_t)
{
	struct console *console = ctx;

	loop_remove(console->in.loop, &console->door.hangup);
	console->door.has_left = true;
	if (!has_unread_input(console))
		end_visit(console);
}

/* It has sent its last; if it still reads, it stays. */
static void input_ended(void *ctx)
{
	struct console *console = ctx;

	if (has_client(console) && console->door.has_left)
		end_visit(console);
}

static bool is_gone(int fd)
{
	struct pollfd client = { .fd = fd };

	return poll(&client, 1, 0) == 1 && client.revents & (POLLHUP | POLLERR);
}

/* epoll takes a descriptor once, so there are three: for input, for output, for the end. */
static int begin_visit(struct console *console, int fd)
{
	struct console_door *door = &console->door;
	int out = fcntl(fd, F_DUPFD_CLOEXEC, 0), ret = -errno;

	if (out < 0)
		return ret;
	door->hangup.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	ret = door->hangup.fd < 0 ? -errno : loop_add(console->in.loop, &door->hangup, 0);
	if (ret) {
		if (door->hangup.fd >= 0)
			close(door->hangup.fd);
		door->hangup.fd = -1;
		close(out);
		return ret;
	}
	door->has_left = false;
	if (console->ops->connected)
		console->ops->connected(console->ctx, true);
	output_set_stream(&console->out, stream_own(out));
	input_set_stream(&console->in, stream_own(fd));
	return 0;
}

static void receive(struct console *console, int fd)
{
	int ret;

	if (has_client(console) && is_gone(console->door.hangup.fd))
		end_visit(console);
	if (has_client(console)) {
		log_info("%s: somebody is connected already; another was turned away",
			console->out.name);
		close(fd);
		return;
	}
	ret = begin_visit(console, fd);
	if (ret) {
		log_warn("%s: a client was turned away: %s", console->out.name, error_text(-ret));
		close(fd);
	}
}

/* Edge-triggered: who cannot be received, as no descriptor is left, waits until another comes. */
static void visitor_ready(void *ctx, uint32_t)
{
	struct console *console = ctx;
	int fd;

	while ((fd = accept4(console->door.at.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
		receive(console, fd);
	if (errno != EAGAIN)
		log_warn("%s: a client has to wait: %s", console->out.name, error_text(errno));
}

/* ---- life ---- */

int door_open(struct console *console, const struct console_spec *spec, struct diag *diag)
{
	struct console_door *door = &console->door;
	int ret = listener_open(&door->at, spec->path, 1);

	if (ret == -ENAMETOOLONG)
		return diag_fail(diag, ENAMETOOLONG,
			"%s socket:%.40s...: the name is too long; a socket's has at most %zu bytes",
			spec->option, spec->path, listener_max_path());
	if (ret)
		return diag_fail(diag, -ret, "%s socket:%s: %s", spec->option, spec->path,
			ret == -EADDRINUSE ? "this file is there already" : error_text(-ret));
	door->listener = (struct loop_source){ door->at.fd, visitor_ready, console, NULL };
	door->hangup = (struct loop_source){ -1, hung_up, console, NULL };
	door->has_left = false;
	console->in.ended = input_ended;
	console->in.owner = console;
	console->out.is_visitor = console->out.is_absent = true;
	return 0;
}

int door_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock)
{
	struct console_door *door = &console->door;

	if (door->at.fd < 0)
		return 0;
	door->listener.lock = door->hangup.lock = lock;
	return loop_add(loop, &door->listener, EPOLLIN | EPOLLET);
}

void door_detach(struct console *console)
{
	struct console_door *door = &console->door;

	if (door->at.fd < 0)
		return;
	loop_remove(console->in.loop, &door->listener);
	if (has_client(console) && !door->has_left)
		loop_remove(console->in.loop, &door->hangup);
}

void door_close(struct console *console)
{
	struct console_door *door = &console->door;

	if (door->at.fd < 0)
		return;
	listener_close(&door->at);
	if (has_client(console))
		close(door->hangup.fd);
}
