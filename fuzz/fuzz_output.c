// SPDX-License-Identifier: MIT
/* fuzz_output.c - a guest that says much, and a reader that takes it when it likes
 *
 * Each two bytes of the input are a step: what, and how much of it.
 */

#include "host/output.h"
#include "util/bits.h"
#include "util/log.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define MOST    (1u << 20) /* bytes of one input */
#define FOREVER 1000000u   /* ms */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct line {
	struct loop loop;
	struct loop_source now; /* always ready: ends a turn of the loop */
	pthread_mutex_t lock;
	int reader; /* -1: gone */
	bool waits; /* the guest was told to, and not yet that it need not any more */
	uint8_t said[MOST];
	size_t n_said, n_read;
};

static void has_room(void *ctx)
{
	((struct line *)ctx)->waits = false;
}

static void stop(void *ctx, uint32_t)
{
	loop_stop(ctx);
}

/* Whatever the guest says is either taken, or counted as dropped. */
static void say(struct line *line, struct output *output, size_t n, bool lines)
{
	for (; n && line->n_said < MOST; n--) {
		uint64_t n_dropped = output->n_dropped;
		uint8_t byte = (uint8_t)(line->n_said * 7 + line->n_said / 256);

		if (lines && n == 1)
			byte = '\n';
		if (!output_send(output, byte))
			line->waits = true;
		BUG_ON(output->n_dropped > n_dropped + 1);
		if (output->n_dropped == n_dropped)
			line->said[line->n_said++] = byte;
	}
}

/* What arrives was said so, in this order. */
static void take(struct line *line, size_t n)
{
	uint8_t data[4096];
	ssize_t got;

	while (n && line->reader >= 0) {
		got = read(line->reader, data, n < sizeof(data) ? n : sizeof(data));
		if (got <= 0)
			return;
		BUG_ON(line->n_read + (size_t)got > line->n_said);
		BUG_ON(memcmp(data, line->said + line->n_read, (size_t)got) != 0);
		line->n_read += (size_t)got;
		n -= (size_t)got;
	}
}

/* Epoll serves sources in turn, so that all of the few have been served after so many. */
static void turn(struct line *line)
{
	for (unsigned int i = 0; i < 2; i++) {
		line->loop.stopped = false;
		BUG_ON(loop_run(&line->loop));
	}
}

static void hang_up(struct line *line)
{
	if (line->reader >= 0)
		close(line->reader);
	line->reader = -1;
}

static void check(const struct line *line, const struct output *output)
{
	BUG_ON(output->count > OUTPUT_RING_SIZE || output->head >= OUTPUT_RING_SIZE);
	BUG_ON(output->is_broken && (output->count || line->reader >= 0));
	BUG_ON(line->waits && !output->wants_room && !output->is_broken);
	BUG_ON(output->count && !output->is_watched && !output->is_ticking);
}

static void step(struct line *line, struct output *output, uint8_t what, uint8_t much)
{
	switch (what % 8) {
	case 0: say(line, output, much, false); break;
	case 1: say(line, output, much, true); break;
	case 2: say(line, output, much * 512u, true); break;
	case 3: take(line, much); break;
	case 4: take(line, much * 512u); break;
	case 5: output_flush(output); break;
	case 6: turn(line); break;
	default:
		if (much == 0xff)
			hang_up(line);
	}
}

/* A reader who takes all gets all, and the guest need not wait any longer. */
static void finish(struct line *line, struct output *output)
{
	while (line->reader >= 0 && (output->count || output->is_watched)) {
		take(line, MOST);
		turn(line);
	}
	take(line, MOST);
	BUG_ON(line->reader >= 0 && (line->n_read != line->n_said || line->waits));
}

static void set_up(struct line *line)
{
	signal(SIGPIPE, SIG_IGN);
	log_set_level(LOG_LEVEL_ERROR);
	BUG_ON(loop_init(&line->loop));
	pthread_mutex_init(&line->lock, NULL);
	line->now = (struct loop_source){ eventfd(1, EFD_CLOEXEC), stop, &line->loop, NULL };
	BUG_ON(loop_add(&line->loop, &line->now, EPOLLIN));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct line line;
	static struct output output;
	struct diag diag;
	int fds[2];

	if (!line.now.ready)
		set_up(&line);
	BUG_ON(pipe2(fds, O_CLOEXEC | O_NONBLOCK));
	fcntl(fds[1], F_SETPIPE_SZ, 4096);
	line.reader = fds[0];
	line.waits = false;
	line.n_said = line.n_read = 0;
	BUG_ON(output_init(&output, "line", stream_own(fds[1]), &diag));
	output.stall_ms = FOREVER;
	BUG_ON(output_attach(&output, &line.loop, &line.lock, has_room, &line));
	for (; size >= 2; data += 2, size -= 2) {
		step(&line, &output, data[0], data[1]);
		check(&line, &output);
	}
	finish(&line, &output);
	hang_up(&line);
	output_detach(&output);
	output_fini(&output, -1);
	return 0;
}
