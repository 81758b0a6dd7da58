// SPDX-License-Identifier: MIT
/* console.c - the host's end of a guest's serial line, virtio-console or port */

#include "host/console.h"

#include "host/console_door.h"
#include "host/terminal.h"
#include "util/error.h"
#include "util/timeline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define MS_NS  1000000ull
#define CTRL_C 0x03
/* A pty's reader that has taken nothing for this many pauses is gone. */
#define PTY_PAUSE_MS    5
#define PTY_IDLE_PAUSES 40

bool console_send(struct console *console, uint8_t byte)
{
	if (console->is_screen)
		screen_see(&console->screen, byte);
	return output_send(&console->out, byte);
}

size_t console_write(struct console *console, const uint8_t *data, size_t size)
{
	size_t done = output_write(&console->out, data, size);

	for (size_t i = 0; console->is_screen && i < done; i++)
		screen_see(&console->screen, data[i]);
	return done;
}

bool console_can_send(struct console *console)
{
	return output_can_send(&console->out);
}

void console_want_input(struct console *console)
{
	input_want(&console->in);
}

/* ---- signals ---- */

bool console_interrupt(struct console *console)
{
	bool is_key = input_is_raw(&console->in);

	if (is_key)
		input_type(&console->in, CTRL_C);
	return is_key;
}

void console_stop(struct console *console)
{
	if (input_is_raw(&console->in))
		terminal_restore();
	terminal_stop();
	input_look(&console->in);
}

void console_continue(struct console *console)
{
	input_look(&console->in);
	console_resize(console);
}

void console_resize(struct console *console)
{
	struct winsize size;

	if (console->is_screen && console->ops->resized &&
		!ioctl(console->out.stream.fd, TIOCGWINSZ, &size))
		console->ops->resized(console->ctx, size.ws_col, size.ws_row);
}

/* ---- a terminal at the end ---- */

static void send_text(struct console *console, const char *text)
{
	for (; *text; text++)
		output_send(&console->out, (uint8_t)*text);
	output_flush(&console->out);
}

/* The guest has asked the terminal something and is gone.  Ask one thing more: when that is
 * answered, all is.
 */
static void discard_answers(struct console *console, int hurry_fd)
{
	uint64_t end_ns = timeline_now() + CONSOLE_ANSWER_MS * MS_NS, now_ns;
	struct answer answer = { .n_missing = console->screen.asked_the_same ? 2 : 1 };

	send_text(console, SCREEN_QUESTION);
	while (answer.n_missing && (now_ns = timeline_now()) < end_ns) {
		struct pollfd wait[] = { { .fd = console->in.stream.fd, .events = POLLIN },
			{ .fd = hurry_fd, .events = POLLIN },
			{ .fd = console->out.count ? console->out.stream.fd : -1,
				.events = POLLOUT } };
		uint8_t data[64];
		ssize_t n;

		if (poll(wait, 3, (int)((end_ns - now_ns) / MS_NS) + 1) < 1 || wait[1].revents)
			return;
		output_flush(&console->out);
		n = stream_read(&console->in.stream, data, sizeof(data));
		if (n == 0 || (n < 0 && n != -EAGAIN))
			return;
		for (ssize_t i = 0; i < n; i++)
			answer_see(&answer, data[i]);
	}
}

static void leave_terminal(struct console *console, int hurry_fd)
{
	char undo[SCREEN_UNDO];

	if (!console->is_screen)
		return;
	screen_undo(&console->screen, undo);
	send_text(console, undo);
	if (screen_waits(&console->screen) && console->is_one_terminal &&
		input_is_raw(&console->in))
		discard_answers(console, hurry_fd);
	console->screen = (struct screen){ 0 };
}

/* What a pty's reader has not yet read is lost when we leave: give it the time it uses. */
static void drain_pty(const struct console *console, int hurry_fd)
{
	uint64_t end_ns = timeline_now() + console->out.finish_ms * MS_NS;
	struct pollfd hurry = { .fd = hurry_fd, .events = POLLIN };
	unsigned int n_idle = 0;
	int left, last = -1;

	do {
		if (poll(&hurry, 1, PTY_PAUSE_MS) || ioctl(console->extra_fd, FIONREAD, &left))
			return;
		n_idle = left == last ? n_idle + 1 : 0;
		last = left;
	} while (n_idle < (left ? PTY_IDLE_PAUSES : 1) && timeline_now() < end_ns);
}

/* ---- life ---- */

int console_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock,
	const struct console_ops *ops, void *ctx, struct diag *diag)
{
	int ret = output_attach(&console->out, loop, lock, ops->output_room, ctx);

	if (!ret)
		ret = door_attach(console, loop, lock);
	if (ret)
		return diag_fail(diag, -ret, "console: epoll: %s", error_text(-ret));
	ret = input_attach(&console->in, loop, lock, &ops->input, ctx);
	if (ret)
		return diag_fail(
			diag, -ret, "console: standard input cannot be used: %s", error_text(-ret));
	console->ops = ops;
	console->ctx = ctx;
	console_resize(console);
	return 0;
}

void console_detach(struct console *console, int hurry_fd)
{
	leave_terminal(console, hurry_fd);
	door_detach(console);
	input_detach(&console->in);
	output_detach(&console->out);
}

void console_destroy(struct console *console, int hurry_fd)
{
	output_fini(&console->out, hurry_fd);
	if (console->extra_fd >= 0) {
		drain_pty(console, hurry_fd);
		close(console->extra_fd);
	}
	input_fini(&console->in);
	door_close(console);
	free(console);
}
