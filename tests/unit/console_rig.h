/* SPDX-License-Identifier: MIT */
/* console_rig.h - a console between a guest's side and an operator's, both played by the test */
#ifndef TEST_CONSOLE_RIG_H
#define TEST_CONSOLE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/console.h"
#include "util/timeline.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MS     1000000ull
#define CTRL_A 0x01

struct rig {
	struct loop loop;
	pthread_mutex_t lock;
	struct console *console;
	struct diag diag;
	int saved[2];       /* standard input and output */
	int reader, writer; /* the far ends: what reads our output, what types our input */
	bool attached;

	/* The guest's side. */
	size_t room, n_input;
	uint8_t input[3 * INPUT_AHEAD];
	unsigned int n_room, n_escapes, n_connected, n_left;
	uint16_t cols, rows;
};

static inline size_t input_room(void *ctx)
{
	return ((struct rig *)ctx)->room;
}

static inline void input(void *ctx, const uint8_t *data, size_t size)
{
	struct rig *rig = ctx;

	assert_true(size <= rig->room && rig->n_input + size <= sizeof(rig->input));
	memcpy(rig->input + rig->n_input, data, size);
	rig->n_input += size;
	rig->room -= size;
}

static inline void output_room(void *ctx)
{
	((struct rig *)ctx)->n_room++;
}

static inline void escape(void *ctx)
{
	((struct rig *)ctx)->n_escapes++;
}

static inline void connected(void *ctx, bool is_connected)
{
	((struct rig *)ctx)->n_connected += is_connected;
	((struct rig *)ctx)->n_left += !is_connected;
}

static inline void resized(void *ctx, uint16_t cols, uint16_t rows)
{
	((struct rig *)ctx)->cols = cols;
	((struct rig *)ctx)->rows = rows;
}

static const struct console_ops ops = {
	{ input_room, input, escape },
	output_room,
	resized,
	connected,
};

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	signal(SIGPIPE, SIG_IGN);
	assert_int_equal(loop_init(&rig->loop), 0);
	pthread_mutex_init(&rig->lock, NULL);
	for (int fd = 0; fd < 2; fd++)
		rig->saved[fd] = fcntl(fd, F_DUPFD_CLOEXEC, 100);
	rig->reader = rig->writer = -1;
	*state = rig;
	return 0;
}

/* The program's own input and output, for those who print. */
static inline void give_back(struct rig *rig)
{
	for (int fd = 0; fd < 2; fd++) {
		dup2(rig->saved[fd], fd);
		close(rig->saved[fd]);
	}
}

static inline void close_console_in_a_hurry(struct rig *rig, int hurry_fd)
{
	if (rig->console && rig->attached)
		console_detach(rig->console, hurry_fd);
	if (rig->console)
		console_destroy(rig->console, hurry_fd);
	rig->console = NULL;
	rig->attached = false;
}

static inline void close_console(struct rig *rig)
{
	close_console_in_a_hurry(rig, -1);
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	if (rig->reader >= 0)
		close(rig->reader); /* a test that failed need not wait */
	close_console(rig);
	give_back(rig);
	if (rig->writer >= 0)
		close(rig->writer);
	loop_fini(&rig->loop);
	free(rig);
	return 0;
}

static inline void attach(struct rig *rig)
{
	assert_non_null(rig->console);
	assert_int_equal(
		console_attach(rig->console, &rig->loop, &rig->lock, &ops, rig, &rig->diag), 0);
	rig->attached = true;
}

static inline struct console *open_kind(struct rig *rig, enum console_kind kind, const char *path)
{
	const struct console_spec spec = {
		.option = "--console",
		.name = "console",
		.kind = kind,
		.path = path,
		.escape_key = kind == CONSOLE_STDIO ? CTRL_A : INPUT_NO_KEY,
	};

	return console_open(&spec, &rig->diag);
}

/* Standard input and output are pipes (or `in`, if it is a descriptor); returns how it went. */
static inline void open_stdio(struct rig *rig, int in)
{
	int to_us[2], from_us[2];

	assert_int_equal(pipe2(to_us, O_CLOEXEC) | pipe2(from_us, O_CLOEXEC), 0);
	fcntl(from_us[1], F_SETPIPE_SZ, 4096);
	dup2(in >= 0 ? in : to_us[0], STDIN_FILENO);
	dup2(from_us[1], STDOUT_FILENO);
	close(to_us[0]);
	close(from_us[1]);
	rig->writer = to_us[1];
	rig->reader = from_us[0];
	rig->console = open_kind(rig, CONSOLE_STDIO, NULL);
}

static inline void stop(void *ctx, uint32_t events)
{
	loop_stop(ctx);
}

/* Let the loop work for so long. */
static inline void turn(struct rig *rig, uint64_t ms)
{
	struct loop_source timer = { loop_timer_create(ms, 0), stop, &rig->loop, NULL };

	rig->loop.stopped = false;
	assert_int_equal(loop_add(&rig->loop, &timer, EPOLLIN), 0);
	assert_int_equal(loop_run(&rig->loop), 0);
	loop_remove(&rig->loop, &timer);
	close(timer.fd);
}

static inline bool send_byte(struct rig *rig, uint8_t byte)
{
	bool room;

	pthread_mutex_lock(&rig->lock);
	room = console_send(rig->console, byte);
	pthread_mutex_unlock(&rig->lock);
	return room;
}

static inline bool can_send(struct rig *rig)
{
	bool room;

	pthread_mutex_lock(&rig->lock);
	room = console_can_send(rig->console);
	pthread_mutex_unlock(&rig->lock);
	return room;
}

static inline void want_input(struct rig *rig, size_t room)
{
	pthread_mutex_lock(&rig->lock);
	rig->room = room;
	console_want_input(rig->console);
	pthread_mutex_unlock(&rig->lock);
}

static inline uint8_t pattern(size_t i)
{
	return (uint8_t)(i * 7 + i / 256);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
