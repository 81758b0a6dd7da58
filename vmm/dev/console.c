// SPDX-License-Identifier: MIT
/* console.c - the host's end of the guest's serial line */

#include "dev/console.h"

#include "dev/terminal.h"
#include "util/log.h"
#include "util/thread.h"
#include "util/timeline.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

/* Between two writes output comes together this long: the first byte after a silence goes at once,
 * and a line costs two writes.
 */
#define GATHER_NS 500000
#define STALL_NS  (CONSOLE_STALL_MS * 1000000ull)
/* One write: small, so that a slow reader's progress is seen. */
#define WRITE_MAX 4096
/* A pty's reader that has taken nothing for this many pauses is gone. */
#define PTY_PAUSE_NS    5000000
#define PTY_IDLE_PAUSES 40

/* ---- output ---- */

/* Blocks as long as the reader does.  Bytes written, or -errno. */
static ssize_t write_some(int fd, const uint8_t *data, size_t size)
{
	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLOUT };
		ssize_t n = write(fd, data, size);

		if (n >= 0)
			return n;
		if (errno == EAGAIN) /* whoever gave us this file made it non-blocking */
			poll(&poll_fd, 1, -1);
		else if (errno != EINTR)
			return -errno;
	}
}

/* With console->lock held; released while writing. */
static void write_batch(struct console *console)
{
	size_t size = console->count;
	ssize_t n;

	if (size > CONSOLE_RING_SIZE - console->head)
		size = CONSOLE_RING_SIZE - console->head;
	if (size > WRITE_MAX)
		size = WRITE_MAX;
	pthread_mutex_unlock(&console->lock);
	n = write_some(console->out_fd, console->ring + console->head, size);
	pthread_mutex_lock(&console->lock);
	if (n < 0) {
		log_warn("console: cannot write: %s; further output is dropped", strerror((int)-n));
		console->broken = true;
		console->count = 0;
	} else {
		console->head = (console->head + (size_t)n) % CONSOLE_RING_SIZE;
		console->count -= (size_t)n;
	}
	console->progress_ns = timeline_now();
	if (console->want_room && console->count <= CONSOLE_RING_SIZE / 2) {
		console->want_room = false;
		loop_counter_add(console->wake.fd);
	}
	pthread_cond_broadcast(&console->changed);
}

static struct timespec monotonic_time(uint64_t ns)
{
	return (struct timespec){
		.tv_sec = (time_t)(ns / 1000000000),
		.tv_nsec = (long)(ns % 1000000000),
	};
}

/* With console->lock held.  The end is not kept waiting. */
static void gather(struct console *console)
{
	struct timespec until = monotonic_time(timeline_now() + GATHER_NS);

	while (!console->closing &&
		!pthread_cond_timedwait(&console->changed, &console->lock, &until))
		;
}

static void *writer_thread(void *arg)
{
	struct console *console = arg;

	pthread_mutex_lock(&console->lock);
	for (;;) {
		while (!console->count && !console->closing)
			pthread_cond_wait(&console->changed, &console->lock);
		if (!console->count)
			break;
		write_batch(console);
		gather(console);
	}
	console->writer_done = true;
	pthread_cond_broadcast(&console->changed);
	pthread_mutex_unlock(&console->lock);
	return NULL;
}

void console_start(struct console *console)
{
	if (console->writer_started || console->out_fd < 0)
		return;
	pthread_mutex_lock(&console->lock);
	console->writer_started = !thread_create(&console->writer, writer_thread, console);
	if (!console->writer_started) {
		log_warn("console: cannot start the thread that writes; output is dropped");
		console->broken = true;
	}
	pthread_mutex_unlock(&console->lock);
}

/* With console->lock held.  A dead reader always has room: what it is sent is dropped. */
static bool has_room(const struct console *console)
{
	return console->count <= CONSOLE_RING_SIZE - CONSOLE_RING_SLACK ||
	       timeline_now() - console->progress_ns > STALL_NS;
}

/* With console->lock held. */
static void ring_push(struct console *console, uint8_t byte)
{
	if (console->count == CONSOLE_RING_SIZE) {
		console->n_dropped++;
		return;
	}
	console->ring[(console->head + console->count++) % CONSOLE_RING_SIZE] = byte;
	if (console->count == 1) {
		console->progress_ns = timeline_now();
		pthread_cond_broadcast(&console->changed);
	}
}

bool console_send(struct console *console, uint8_t byte)
{
	bool room;

	if (console->out_fd < 0)
		return true;
	pthread_mutex_lock(&console->lock);
	if (!console->broken)
		ring_push(console, byte);
	room = has_room(console);
	if (!room && !console->want_room) {
		console->want_room = true;
		/* A reader that takes nothing wakes nobody. */
		loop_timer_set(console->stall.fd, CONSOLE_STALL_MS, CONSOLE_STALL_MS);
	}
	pthread_mutex_unlock(&console->lock);
	return room;
}

bool console_can_send(struct console *console)
{
	bool room;

	pthread_mutex_lock(&console->lock);
	room = has_room(console);
	pthread_mutex_unlock(&console->lock);
	return room;
}

/* With console->lock held: wait until the writer has written something, or has not for too long. */
static bool wait_progress(struct console *console)
{
	uint64_t since = console->progress_ns;
	struct timespec until = monotonic_time(since + STALL_NS);

	while (!console->writer_done && console->progress_ns == since)
		if (pthread_cond_timedwait(&console->changed, &console->lock, &until))
			return false;
	return true;
}

/* Wait for the writer as long as the reader takes something. */
static void finish_output(struct console *console)
{
	if (!console->writer_started)
		return;
	pthread_mutex_lock(&console->lock);
	console->closing = true;
	/* Nothing is left: only the writer's own end is waited for, however long the silence. */
	if (!console->count)
		console->progress_ns = timeline_now();
	pthread_cond_broadcast(&console->changed);
	while (!console->writer_done && wait_progress(console))
		;
	if (!console->writer_done) {
		console->n_dropped += console->count;
		pthread_cancel(console->writer);
	}
	pthread_mutex_unlock(&console->lock);
	pthread_join(console->writer, NULL);
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

/* Room for output or a wish for input, from the vCPUs' or the writer's thread. */
static void woken(void *ctx, uint32_t events)
{
	struct console *console = ctx;

	loop_counter_read(console->wake.fd);
	if (console_can_send(console))
		console->ops->output_room(console->ctx);
	deliver(console);
	watch_input(console, input_wanted(console, 1) > 0);
	while (console->in_always_ready && input_wanted(console, 1))
		read_input(console);
}

/* The reader may have died. */
static void stalled(void *ctx, uint32_t events)
{
	struct console *console = ctx;

	loop_counter_read(console->stall.fd);
	if (!console_can_send(console))
		return;
	loop_timer_set(console->stall.fd, 0, 0);
	pthread_mutex_lock(&console->lock);
	console->want_room = false;
	pthread_mutex_unlock(&console->lock);
	console->ops->output_room(console->ctx);
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
	/* Not their descriptors: the writer may be using them. */
	console->wake.ready = woken;
	console->stall.ready = stalled;
	console->wake.ctx = console->stall.ctx = console;
	console->wake.lock = console->stall.lock = lock;
	ret = loop_add(loop, &console->wake, EPOLLIN);
	if (!ret)
		ret = loop_add(loop, &console->stall, EPOLLIN);
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
	loop_remove(console->loop, &console->wake);
	loop_remove(console->loop, &console->stall);
	console->n_ahead = 0;
	terminal_restore();
}

void console_destroy(struct console *console)
{
	finish_output(console);
	if (console->extra_fd >= 0)
		drain_pty(console->extra_fd);
	if (console->owned) {
		close(console->out_fd);
		if (console->extra_fd >= 0)
			close(console->extra_fd);
	}
	close(console->stall.fd);
	close(console->wake.fd);
	pthread_cond_destroy(&console->changed);
	pthread_mutex_destroy(&console->lock);
	free(console);
}
