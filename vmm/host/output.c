// SPDX-License-Identifier: MIT
/* output.c - what a guest says, on its way to whoever reads it */

#include "host/output.h"

#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timerfd.h>
#include <unistd.h>

/* Of output that is no whole line yet the first byte after a silence goes at once, the rest comes
 * together this long: a line costs one write, or two.
 */
#define GATHER_MS  1
#define SILENCE_NS 500000
#define MS_NS      1000000ull
/* One write: small, so that a slow reader's progress is seen. */
#define WRITE_MAX 4096
/* Of a write that had to wait, so much goes on at a time. */
#define ENOUGH_ROOM 4096

static void lose_reader(struct output *output, int err)
{
	output->count = 0;
	/* It has left: who watches it will see. */
	if (output->is_visitor && (err == EPIPE || err == ECONNRESET)) {
		output->is_absent = true;
		return;
	}
	log_warn("%s: cannot write: %s; further output is dropped", output->name, error_text(err));
	output->is_broken = true;
}

void output_flush(struct output *output)
{
	while (output->count && !output->is_absent) {
		size_t size = output->count;
		ssize_t n;

		if (size > OUTPUT_RING_SIZE - output->head)
			size = OUTPUT_RING_SIZE - output->head;
		if (size > WRITE_MAX)
			size = WRITE_MAX;
		n = stream_write(&output->stream, output->ring + output->head, size);
		if (n == 0 || n == -EAGAIN)
			return;
		if (n < 0) {
			lose_reader(output, (int)-n);
			return;
		}
		output->head = (output->head + (size_t)n) % OUTPUT_RING_SIZE;
		output->count -= (size_t)n;
		output->progress_ns = timeline_now();
	}
}

static void tick_after(struct output *output, uint64_t ms)
{
	if (output->is_ticking)
		return;
	output->is_ticking = true;
	loop_timer_set(output->timer.fd, ms, 0);
}

/* Any thread; what is left goes when the reader has room. */
static void flush_and_watch(struct output *output)
{
	output_flush(output);
	if (!output->count || output->is_watched || output->is_absent)
		return;
	output->is_watched = !loop_add(output->loop, &output->ready, EPOLLOUT);
	if (!output->is_watched) /* epoll does not take it */
		tick_after(output, GATHER_MS);
}

static bool is_dead(const struct output *output)
{
	return output->is_absent || (!output->is_patient && timeline_now() - output->progress_ns >
								    output->stall_ms * MS_NS);
}

/* A dead reader always has room: what it is sent is dropped. */
bool output_can_send(const struct output *output)
{
	return output->count <= OUTPUT_RING_SIZE - OUTPUT_RING_SLACK || is_dead(output);
}

static bool goes_nowhere(const struct output *output)
{
	return output->is_broken || (output->stream.fd < 0 && !output->is_absent);
}

/* What comes before there is a reader is missed by nobody. */
static void count_dropped(struct output *output, size_t n)
{
	if (!output->is_absent)
		output->n_dropped += n;
}

/* True if it ends a silence. */
static bool ring_push(struct output *output, uint8_t byte)
{
	uint64_t since = output->progress_ns;

	if (output->count == OUTPUT_RING_SIZE) {
		count_dropped(output, 1);
		return false;
	}
	output->ring[(output->head + output->count++) % OUTPUT_RING_SIZE] = byte;
	if (output->count > 1)
		return false;
	output->progress_ns = timeline_now();
	return output->progress_ns - since > SILENCE_NS;
}

bool output_send(struct output *output, uint8_t byte)
{
	if (goes_nowhere(output))
		return true;
	if (ring_push(output, byte) || byte == '\n') {
		if (!output->is_watched)
			flush_and_watch(output);
	} else if (!output->is_watched) {
		tick_after(output, GATHER_MS);
	}
	if (output_can_send(output))
		return true;
	output->wants_room = OUTPUT_RING_SIZE / 2;
	/* A reader that takes nothing wakes nobody. */
	tick_after(output, output->stall_ms);
	return false;
}

/* As much as there is room for. */
static size_t ring_put(struct output *output, const uint8_t *data, size_t size)
{
	size_t at = (output->head + output->count) % OUTPUT_RING_SIZE, first;

	if (size > OUTPUT_RING_SIZE - output->count)
		size = OUTPUT_RING_SIZE - output->count;
	first = size < OUTPUT_RING_SIZE - at ? size : OUTPUT_RING_SIZE - at;
	memcpy(output->ring + at, data, first);
	memcpy(output->ring, data + first, size - first);
	output->count += size;
	return size;
}

/* Through the ring, as often as it empties at once. */
static size_t put_all(struct output *output, const uint8_t *data, size_t size)
{
	size_t done = ring_put(output, data, size);

	while (done < size && !output->is_watched) {
		flush_and_watch(output);
		if (goes_nowhere(output))
			return size;
		if (output->count == OUTPUT_RING_SIZE)
			break;
		done += ring_put(output, data + done, size - done);
	}
	return done;
}

size_t output_write(struct output *output, const uint8_t *data, size_t size)
{
	bool was_silent = false;
	size_t done;

	if (goes_nowhere(output) || !size)
		return size;
	if (!output->count) {
		uint64_t now = timeline_now();

		was_silent = now - output->progress_ns > SILENCE_NS;
		output->progress_ns = now;
	}
	done = put_all(output, data, size);
	if (output->is_watched || !output->count)
		;
	else if (was_silent || output->count >= WRITE_MAX || memchr(data, '\n', done))
		flush_and_watch(output);
	else
		tick_after(output, GATHER_MS);
	if (done == size)
		return size;
	if (is_dead(output)) {
		count_dropped(output, size - done);
		return size;
	}
	output->wants_room = size - done < ENOUGH_ROOM ? size - done : ENOUGH_ROOM;
	tick_after(output, output->stall_ms);
	return done;
}

static void tell_room(struct output *output)
{
	if (!output->wants_room)
		return;
	output->wants_room = 0;
	output->is_ticking = false; /* with the patience for a dead reader, at most */
	if (output->has_room)
		output->has_room(output->ctx);
}

static void output_ready(void *ctx, uint32_t)
{
	struct output *output = ctx;

	output_flush(output);
	if (!output->count) {
		loop_remove(output->loop, &output->ready);
		output->is_watched = false;
	}
	if (OUTPUT_RING_SIZE - output->count >= output->wants_room)
		tell_room(output);
}

static void ticked(void *ctx, uint32_t)
{
	struct output *output = ctx;

	loop_counter_read(output->timer.fd);
	output->is_ticking = false;
	if (!output->is_watched)
		flush_and_watch(output);
	if (output_can_send(output))
		tell_room(output);
	else
		tick_after(output, output->stall_ms);
}

/* ---- life ---- */

int output_init(struct output *output, const char *name, struct stream stream, struct diag *diag)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK), err = errno;

	memset(output, 0, offsetof(struct output, ring));
	output->name = name;
	output->stall_ms = OUTPUT_STALL_MS;
	output->finish_ms = OUTPUT_FINISH_MS;
	output->stream = stream;
	output->timer.fd = fd;
	if (fd >= 0)
		return 0;
	stream_close(&output->stream);
	return diag_fail(diag, err, "%s: timerfd: %s", name, error_text(err));
}

struct output *output_create(const char *name, struct stream stream, struct diag *diag)
{
	struct output *output = malloc(sizeof(*output));

	if (!output) {
		diag_fail(diag, ENOMEM, "out of memory");
		stream_close(&stream);
	} else if (output_init(output, name, stream, diag)) {
		free(output);
		output = NULL;
	}
	return output;
}

void output_destroy(struct output *output, int hurry_fd)
{
	output_fini(output, hurry_fd);
	free(output);
}

struct stream output_open_file(const char *option, const char *path, struct diag *diag)
{
	/* Without O_NONBLOCK a FIFO that nobody reads would hold us here. */
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);

	if (fd < 0)
		diag_fail(diag, errno, "%s file:%s: %s", option, path,
			errno == ENXIO ? "nobody reads this FIFO; start its reader first"
				       : error_text(errno));
	return stream_own(fd);
}

int output_attach(struct output *output, struct loop *loop, pthread_mutex_t *lock,
	void (*has_room)(void *ctx), void *ctx)
{
	int ret;

	output->loop = loop;
	output->has_room = has_room;
	output->ctx = ctx;
	output->ready = (struct loop_source){ output->stream.fd, output_ready, output, lock };
	output->timer = (struct loop_source){ output->timer.fd, ticked, output, lock };
	ret = loop_add(loop, &output->timer, EPOLLIN);
	if (!ret)
		flush_and_watch(output); /* what a former guest left */
	return ret;
}

void output_detach(struct output *output)
{
	if (output->is_watched)
		loop_remove(output->loop, &output->ready);
	loop_remove(output->loop, &output->timer);
	output->is_watched = output->is_ticking = false;
	output->wants_room = 0;
}

void output_set_stream(struct output *output, struct stream stream)
{
	if (output->is_watched)
		loop_remove(output->loop, &output->ready);
	output->is_watched = false;
	stream_close(&output->stream);
	if (stream.fd < 0)
		output->count = 0;
	output->stream = stream;
	output->ready.fd = stream.fd;
	output->is_absent = stream.fd < 0;
	output->progress_ns = timeline_now();
	if (!output->is_absent)
		flush_and_watch(output);
	tell_room(output);
}

/* Wait until there is room, or `end_ns`; false: somebody is in a hurry. */
static bool wait_for_room(const struct output *output, uint64_t end_ns, int hurry_fd)
{
	struct pollfd wait[] = { { .fd = output->stream.fd, .events = POLLOUT },
		{ .fd = hurry_fd, .events = POLLIN } };
	uint64_t now_ns = timeline_now();

	if (end_ns > now_ns)
		poll(wait, 2, (int)((end_ns - now_ns) / MS_NS) + 1);
	return !wait[1].revents;
}

void output_fini(struct output *output, int hurry_fd)
{
	uint64_t last_ns = timeline_now() + output->finish_ms * MS_NS;

	for (;;) {
		uint64_t end_ns;

		output_flush(output);
		if (output->is_absent)
			break;
		end_ns = output->progress_ns + output->stall_ms * MS_NS;
		if (end_ns > last_ns)
			end_ns = last_ns;
		if (!output->count || timeline_now() > end_ns ||
			!wait_for_room(output, end_ns, hurry_fd))
			break;
	}
	count_dropped(output, output->count);
	if (output->n_dropped)
		log_warn("%s: nobody read the guest's output; %llu bytes were dropped",
			output->name, (unsigned long long)output->n_dropped);
	close(output->timer.fd);
	stream_close(&output->stream);
}
