// SPDX-License-Identifier: MIT
/* console.c - the host's end of the guest's serial line */

#include "host/console.h"

#include "host/terminal.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Of output that is no whole line yet the first byte after a silence goes at once, the rest comes
 * together this long: a line costs one write, or two.
 */
#define GATHER_MS  1
#define SILENCE_NS 500000
#define STALL_NS   (CONSOLE_STALL_MS * 1000000ull)
/* One write: small, so that a slow reader's progress is seen. */
#define WRITE_MAX 4096
/* A pty's reader that has taken nothing for this many pauses is gone. */
#define PTY_PAUSE_NS    5000000
#define PTY_IDLE_PAUSES 40

/* ---- output ---- */

/* Never blocks.  Bytes written; 0: not now; or -errno. */
static ssize_t write_some(const struct console *console, const uint8_t *data, size_t size)
{
	struct pollfd ready = { .fd = console->out_fd, .events = POLLOUT };
	ssize_t n;

	switch (console->out_kind) {
	case CONSOLE_OUT_SOCKET:
		n = send(console->out_fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL);
		break;
	case CONSOLE_OUT_BLOCKING:
		/* What says that it is ready takes a byte, if not two. */
		n = poll(&ready, 1, 0) > 0 ? write(console->out_fd, data, 1) : 0;
		break;
	default: n = write(console->out_fd, data, size); break;
	}
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	return n;
}

/* Write as much as can be written now. */
static void flush(struct console *console)
{
	while (console->count) {
		size_t size = console->count;
		ssize_t n;

		if (size > CONSOLE_RING_SIZE - console->head)
			size = CONSOLE_RING_SIZE - console->head;
		if (size > WRITE_MAX)
			size = WRITE_MAX;
		n = write_some(console, console->ring + console->head, size);
		if (!n)
			return;
		if (n < 0) {
			log_warn("console: cannot write: %s; further output is dropped",
				strerror((int)-n));
			console->broken = true;
			console->count = 0;
			return;
		}
		console->head = (console->head + (size_t)n) % CONSOLE_RING_SIZE;
		console->count -= (size_t)n;
		console->progress_ns = timeline_now();
	}
}

static void tick_after(struct console *console, uint64_t ms)
{
	if (console->ticking)
		return;
	console->ticking = true;
	loop_timer_set(console->timer.fd, ms, 0);
}

/* Any thread; what is left goes when the reader has room. */
static void flush_and_watch(struct console *console)
{
	flush(console);
	if (!console->count || console->out_watched)
		return;
	console->out_watched = !loop_add(console->loop, &console->out, EPOLLOUT);
	if (!console->out_watched) /* epoll does not take it */
		tick_after(console, GATHER_MS);
}

/* A dead reader always has room: what it is sent is dropped. */
static bool has_room(const struct console *console)
{
	return console->count <= CONSOLE_RING_SIZE - CONSOLE_RING_SLACK ||
	       timeline_now() - console->progress_ns > STALL_NS;
}

/* True if it ends a silence. */
static bool ring_push(struct console *console, uint8_t byte)
{
	uint64_t since = console->progress_ns;

	if (console->count == CONSOLE_RING_SIZE) {
		console->n_dropped++;
		return false;
	}
	console->ring[(console->head + console->count++) % CONSOLE_RING_SIZE] = byte;
	if (console->count > 1)
		return false;
	console->progress_ns = timeline_now();
	return console->progress_ns - since > SILENCE_NS;
}

bool console_send(struct console *console, uint8_t byte)
{
	if (console->out_fd < 0 || console->broken)
		return true;
	if (ring_push(console, byte) || byte == '\n') {
		if (!console->out_watched)
			flush_and_watch(console);
	} else if (!console->out_watched) {
		tick_after(console, GATHER_MS);
	}
	if (has_room(console))
		return true;
	console->want_room = true;
	/* A reader that takes nothing wakes nobody. */
	tick_after(console, CONSOLE_STALL_MS);
	return false;
}

bool console_can_send(struct console *console)
{
	return has_room(console);
}

static void tell_room(struct console *console)
{
	if (!console->want_room)
		return;
	console->want_room = false;
	console->ticking = false; /* with the patience for a dead reader, at most */
	console->ops->output_room(console->ctx);
}

static void output_ready(void *ctx, uint32_t events)
{
	struct console *console = ctx;

	flush(console);
	if (!console->count) {
		loop_remove(console->loop, &console->out);
		console->out_watched = false;
	}
	if (console->count <= CONSOLE_RING_SIZE / 2)
		tell_room(console);
}

static void ticked(void *ctx, uint32_t events)
{
	struct console *console = ctx;

	loop_counter_read(console->timer.fd);
	console->ticking = false;
	if (!console->out_watched)
		flush_and_watch(console);
	if (has_room(console))
		tell_room(console);
	else
		tick_after(console, CONSOLE_STALL_MS);
}

/* Wait for the reader as long as it takes something. */
static void finish_output(struct console *console)
{
	struct pollfd ready = { .fd = console->out_fd, .events = POLLOUT };

	for (;;) {
		uint64_t idle_ns = timeline_now() - console->progress_ns;

		flush(console);
		if (!console->count)
			break;
		if (idle_ns > STALL_NS) {
			console->n_dropped += console->count;
			break;
		}
		poll(&ready, 1, (int)((STALL_NS - idle_ns) / 1000000) + 1);
	}
	if (console->n_dropped)
		log_warn("console: nobody read the guest's output; %llu bytes were dropped",
			(unsigned long long)console->n_dropped);
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

static void input_ready(void *ctx, uint32_t events)
{
	read_input(ctx);
}

void console_want_input(struct console *console)
{
	if (console->n_ahead || (!console->in_ended && !console->in_watched))
		loop_counter_add(console->wake.fd);
}

/* A wish for input, from the vCPUs' threads. */
static void woken(void *ctx, uint32_t events)
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
	console->out = (struct loop_source){ console->out_fd, output_ready, console, lock };
	console->wake = (struct loop_source){ console->wake.fd, woken, console, lock };
	console->timer = (struct loop_source){ console->timer.fd, ticked, console, lock };
	ret = loop_add(loop, &console->wake, EPOLLIN);
	if (!ret)
		ret = loop_add(loop, &console->timer, EPOLLIN);
	if (ret)
		return diag_fail(diag, -ret, "console: epoll: %s", strerror(-ret));
	flush_and_watch(console); /* what a former guest left */
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
	if (console->out_watched)
		loop_remove(console->loop, &console->out);
	console->out_watched = false;
	loop_remove(console->loop, &console->wake);
	loop_remove(console->loop, &console->timer);
	console->want_room = console->ticking = false;
	console->n_ahead = 0;
	terminal_restore();
}

void console_destroy(struct console *console)
{
	finish_output(console);
	if (console->extra_fd >= 0) {
		drain_pty(console->extra_fd);
		close(console->extra_fd);
		close(console->in_fd);
	}
	if (console->owns_out)
		close(console->out_fd);
	close(console->timer.fd);
	close(console->wake.fd);
	free(console);
}
