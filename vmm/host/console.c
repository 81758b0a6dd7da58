// SPDX-License-Identifier: MIT
/* console.c - the host's end of the guest's serial line */

#include "host/console.h"

#include "host/terminal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* A pty's reader that has taken nothing for this many pauses is gone. */
#define PTY_PAUSE_NS    5000000
#define PTY_IDLE_PAUSES 40

/* ---- output ---- */

bool console_send(struct console *console, uint8_t byte)
{
	return output_send(&console->out, byte);
}

bool console_can_send(struct console *console)
{
	return output_can_send(&console->out);
}

static void has_room(void *ctx)
{
	struct console *console = ctx;

	console->ops->output_room(console->ctx);
}

/* What a pty's reader has not yet read is lost when we leave: give it the time it uses. */
static void drain_pty(int fd)
{
	static const struct timespec pause = { .tv_nsec = PTY_PAUSE_NS };
	int left, last = -1;
	unsigned int n_idle = 0;

	do {
		nanosleep(&pause, NULL);
		if (ioctl(fd, FIONREAD, &left))
			return;
		n_idle = left == last ? n_idle + 1 : 0;
		last = left;
	} while (n_idle < (left ? PTY_IDLE_PAUSES : 1));
}

/* ---- input ---- */

static void deliver(struct console *console)
{
	size_t n = console->ops->input_room(console->ctx);

	if (n > console->n_ahead)
		n = console->n_ahead;
	if (!n)
		return;
	console->ops->input(console->ctx, console->ahead, n);
	console->n_ahead -= n;
	memmove(console->ahead, console->ahead + n, console->n_ahead);
}

void console_type(struct console *console, uint8_t byte)
{
	if (console->n_ahead < CONSOLE_TYPE_AHEAD)
		console->ahead[console->n_ahead++] = byte;
	deliver(console);
}

static void key(struct console *console, uint8_t byte)
{
	if (!console->escaped && byte == CONSOLE_ESCAPE_KEY) {
		console->escaped = true;
		return;
	}
	if (console->escaped && (byte == 'x' || byte == 'X')) {
		console->ops->escape(console->ctx);
	} else {
		if (console->escaped && byte != CONSOLE_ESCAPE_KEY)
			console_type(console, CONSOLE_ESCAPE_KEY);
		console_type(console, byte);
	}
	console->escaped = false;
}

static void watch_input(struct console *console, bool watch)
{
	if (watch && !console->in_watched) {
		int ret = loop_add(console->loop, &console->in, EPOLLIN);

		console->in_always_ready = ret == -EPERM;
		console->in_watched = !ret;
	} else if (!watch && console->in_watched) {
		loop_remove(console->loop, &console->in);
		console->in_watched = false;
	}
}

/* How much to read now: a terminal always, for its escape key; else what the guest will take. */
static size_t input_wanted(const struct console *console, size_t size)
{
	size_t room;

	if (console->in_ended)
		return 0;
	if (console->is_terminal)
		return size;
	room = console->n_ahead ? 0 : console->ops->input_room(console->ctx);
	return room < size ? room : size;
}

/* Called when in_fd is known to be readable, or always is. */
static void read_input(struct console *console)
{
	uint8_t data[64];
	size_t wanted = input_wanted(console, sizeof(data));
	ssize_t n = wanted ? read(console->in_fd, data, wanted) : 0;

	if (wanted && (n == 0 || (n < 0 && errno != EINTR && errno != EAGAIN)))
		console->in_ended = true;
	for (ssize_t i = 0; i < n; i++) {
		if (console->is_terminal)
			key(console, data[i]);
		else
			console_type(console, data[i]);
	}
	watch_input(console, input_wanted(console, 1) > 0);
}

static void input_ready(void *ctx, uint32_t)
{
	read_input(ctx);
}

void console_want_input(struct console *console)
{
	if (console->n_ahead || (!console->in_ended && !console->in_watched))
		loop_counter_add(console->wake.fd);
}

/* A wish for input, from the vCPUs' threads. */
static void woken(void *ctx, uint32_t)
{
	struct console *console = ctx;

	loop_counter_read(console->wake.fd);
	deliver(console);
	watch_input(console, input_wanted(console, 1) > 0);
	while (console->in_always_ready && input_wanted(console, 1))
		read_input(console);
}

/* ---- life ---- */

int console_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock,
	const struct console_ops *ops, void *ctx, struct diag *diag)
{
	int ret;

	console->loop = loop;
	console->ops = ops;
	console->ctx = ctx;
	console->in = (struct loop_source){ console->in_fd, input_ready, console, lock };
	console->wake = (struct loop_source){ console->wake.fd, woken, console, lock };
	ret = loop_add(loop, &console->wake, EPOLLIN);
	if (!ret)
		ret = output_attach(&console->out, loop, lock, has_room, console);
	if (ret)
		return diag_fail(diag, -ret, "console: epoll: %s", strerror(-ret));
	if (!console->is_terminal)
		return 0;
	ret = terminal_set_raw(console->in_fd);
	if (ret)
		return diag_fail(
			diag, -ret, "console: the terminal cannot be set: %s", strerror(-ret));
	watch_input(console, true);
	return 0;
}

void console_detach(struct console *console)
{
	watch_input(console, false);
	output_detach(&console->out);
	loop_remove(console->loop, &console->wake);
	console->n_ahead = 0;
	terminal_restore();
}

void console_destroy(struct console *console, int hurry_fd)
{
	output_fini(&console->out, hurry_fd);
	if (console->extra_fd >= 0) {
		drain_pty(console->extra_fd);
		close(console->extra_fd);
		close(console->in_fd);
	}
	close(console->wake.fd);
	free(console);
}
