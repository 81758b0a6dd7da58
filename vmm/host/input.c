// SPDX-License-Identifier: MIT
/* input.c - what a guest is told, from a file, a pipe or a person at a terminal */

#include "host/input.h"

#include "host/terminal.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#define READ_MAX 4096

/* ---- from the ring to the guest ---- */

static void deliver(struct input *input)
{
	while (input->count) {
		size_t n = input->ops->room(input->ctx);

		if (n > input->count)
			n = input->count;
		if (n > INPUT_AHEAD - input->head)
			n = INPUT_AHEAD - input->head;
		if (!n)
			return;
		input->ops->take(input->ctx, input->ring + input->head, n);
		input->head = (input->head + n) % INPUT_AHEAD;
		input->count -= n;
		input->was_taken = true;
		input->is_dropping = false;
	}
}

static void keep(struct input *input, uint8_t byte)
{
	if (input->count < INPUT_AHEAD)
		input->ring[(input->head + input->count++) % INPUT_AHEAD] = byte;
	else
		input->n_dropped++;
}

void input_type(struct input *input, uint8_t byte)
{
	keep(input, byte);
	deliver(input);
}

static void key(struct input *input, uint8_t byte)
{
	bool is_escape = byte == input->escape_key; /* never, if there is none */

	if (!input->is_escaped && is_escape) {
		input->is_escaped = true;
		return;
	}
	if (input->is_escaped && (byte == 'x' || byte == 'X')) {
		input->ops->escape(input->ctx);
	} else {
		if (input->is_escaped && !is_escape)
			input_type(input, (uint8_t)input->escape_key);
		input_type(input, byte);
	}
	input->is_escaped = false;
}

/* ---- from the file to the ring ---- */

static void watch(struct input *input, bool wanted)
{
	if (wanted && !input->is_watched) {
		int ret = loop_add(input->loop, &input->ready, EPOLLIN);

		input->is_always_ready = ret == -EPERM;
		input->is_watched = !ret;
	} else if (!wanted && input->is_watched) {
		loop_remove(input->loop, &input->ready);
		input->is_watched = false;
	}
}

/* How much to read now.  Of a terminal's keys two may come of one, an escape key that was none. */
static size_t wanted_size(const struct input *input)
{
	size_t room;

	if (input->state != INPUT_OPEN)
		return 0;
	if (input->is_terminal)
		room = input->is_dropping ? READ_MAX : (INPUT_AHEAD - input->count) / 2;
	else
		room = input->count ? 0 : input->ops->room(input->ctx);
	return room < READ_MAX ? room : READ_MAX;
}

static void watch_if_wanted(struct input *input)
{
	bool wanted = wanted_size(input) > 0;

	watch(input, wanted);
	if (!input->is_terminal || input->state != INPUT_OPEN)
		return;
	if (!wanted && !input->is_full) {
		input->was_taken = false;
		loop_timer_set(input->timer.fd, input->stall_ms, 0);
	}
	input->is_full = !wanted;
}

/* With SIGTTIN blocked a read in the background is an error. */
static void stop_reading(struct input *input)
{
	if (input->is_terminal && terminal_look(input->stream.fd) == TERMINAL_OTHERS)
		input_look(input);
	else
		input->state = INPUT_ENDED;
	if (input->state == INPUT_ENDED && input->ended)
		input->ended(input->owner);
}

/* Called when the file is known to be readable, or always is. */
static void read_some(struct input *input)
{
	uint8_t data[READ_MAX];
	size_t wanted = wanted_size(input);
	ssize_t n = wanted ? stream_read(&input->stream, data, wanted) : -EAGAIN;

	if (n <= 0 && n != -EAGAIN)
		stop_reading(input);
	for (ssize_t i = 0; i < n; i++) {
		if (input->is_terminal)
			key(input, data[i]);
		else
			keep(input, data[i]);
	}
	deliver(input);
	watch_if_wanted(input);
}

void input_set_stream(struct input *input, struct stream stream)
{
	watch(input, false);
	stream_close(&input->stream);
	input->stream = stream;
	input->ready.fd = stream.fd;
	input->state = stream.fd < 0 ? INPUT_ENDED : INPUT_OPEN;
	watch_if_wanted(input);
}

static void input_ready(void *ctx, uint32_t)
{
	read_some(ctx);
}

void input_want(struct input *input)
{
	if (input->count || (input->state == INPUT_OPEN && !input->is_watched))
		loop_counter_add(input->wake.fd);
}

/* A wish for input, from the vCPUs' threads. */
static void woken(void *ctx, uint32_t)
{
	struct input *input = ctx;

	loop_counter_read(input->wake.fd);
	deliver(input);
	watch_if_wanted(input);
	while (input->is_always_ready && wanted_size(input))
		read_some(input);
}

/* ---- terminals ---- */

bool input_is_raw(const struct input *input)
{
	return input->is_terminal && input->state == INPUT_OPEN;
}

/* 0 or -errno: it is ours, and cannot be set. */
static int look(struct input *input)
{
	enum terminal terminal = terminal_look(input->stream.fd);
	int ret = 0;

	if (terminal == TERMINAL_OTHERS && terminal_take(input->stream.fd))
		terminal = TERMINAL_OURS;
	input->state = INPUT_OPEN;
	if (terminal == TERMINAL_OURS) {
		ret = terminal_set_raw(input->stream.fd);
	} else if (terminal == TERMINAL_OTHERS) {
		input->state = INPUT_ELSEWHERE;
		terminal_forget();
		loop_timer_set(input->timer.fd, input->look_ms, 0);
	}
	if (ret || terminal == TERMINAL_NONE) /* it was hung up */
		input->state = INPUT_ENDED;
	input->is_full = false;
	watch_if_wanted(input);
	return ret;
}

void input_look(struct input *input)
{
	int ret = 0;

	if (input->is_terminal && input->state != INPUT_ENDED)
		ret = look(input);
	if (ret)
		log_warn("console: the terminal cannot be set: %s; its keys are not taken",
			error_text(-ret));
}

/* Either we are elsewhere, or the ring has been full for long. */
static void ticked(void *ctx, uint32_t)
{
	struct input *input = ctx;

	loop_counter_read(input->timer.fd);
	if (input->state == INPUT_ELSEWHERE) {
		input_look(input);
	} else if (input->is_full && input->was_taken) {
		input->is_full = false;
		watch_if_wanted(input);
	} else if (input->is_full) {
		log_warn("console: the guest takes no input; what is typed now is dropped");
		input->is_dropping = true;
		watch_if_wanted(input);
	}
}

/* ---- life ---- */

int input_init(struct input *input, struct stream stream, int escape_key, struct diag *diag)
{
	int ret = 0;

	memset(input, 0, offsetof(struct input, ring));
	input->stream = stream;
	input->escape_key = escape_key;
	input->is_terminal = stream.is_device && terminal_look(stream.fd) != TERMINAL_NONE;
	input->state = stream.fd < 0 ? INPUT_ENDED : INPUT_OPEN;
	input->stall_ms = INPUT_STALL_MS;
	input->look_ms = INPUT_LOOK_MS;
	input->timer.fd = -1;
	input->wake.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (input->is_terminal)
		input->timer.fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	if (input->wake.fd < 0 || (input->is_terminal && input->timer.fd < 0)) {
		ret = diag_fail(diag, errno, "console: eventfd, timerfd: %s", error_text(errno));
		input_fini(input);
	}
	return ret;
}

void input_fini(struct input *input)
{
	if (input->n_dropped)
		log_warn("console: the guest took no input; %llu bytes were dropped",
			(unsigned long long)input->n_dropped);
	if (input->timer.fd >= 0)
		close(input->timer.fd);
	if (input->wake.fd >= 0)
		close(input->wake.fd);
	stream_close(&input->stream);
}

static int attach_terminal(struct input *input)
{
	int ret = loop_add(input->loop, &input->timer, EPOLLIN);
	sigset_t set;

	if (ret)
		return ret;
	/* The thread that reads is not to be stopped when others take the foreground. */
	sigemptyset(&set);
	sigaddset(&set, SIGTTIN);
	pthread_sigmask(SIG_BLOCK, &set, NULL);
	ret = look(input);
	if (input->state == INPUT_ELSEWHERE)
		log_info(
			"console: the terminal has others in its foreground; keys are taken when we are");
	return ret;
}

int input_attach(struct input *input, struct loop *loop, pthread_mutex_t *lock,
	const struct input_ops *ops, void *ctx)
{
	int ret;

	input->loop = loop;
	input->ops = ops;
	input->ctx = ctx;
	input->ready = (struct loop_source){ input->stream.fd, input_ready, input, lock };
	input->wake = (struct loop_source){ input->wake.fd, woken, input, lock };
	input->timer = (struct loop_source){ input->timer.fd, ticked, input, lock };
	ret = loop_add(loop, &input->wake, EPOLLIN);
	if (!ret && input->is_terminal && input->state != INPUT_ENDED)
		ret = attach_terminal(input);
	return ret;
}

void input_detach(struct input *input)
{
	watch(input, false);
	loop_remove(input->loop, &input->wake);
	if (input->is_terminal) {
		loop_remove(input->loop, &input->timer);
		terminal_restore();
	}
	input->is_escaped = input->is_full = input->is_dropping = false;
	input->count = 0;
}
