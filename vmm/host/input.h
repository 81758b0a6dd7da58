/* SPDX-License-Identifier: MIT */
/* input.h - what a guest is told, from a file, a pipe or a person at a terminal
 *
 * A file or a pipe is read as the guest takes it.  A terminal is read ahead, for the escape key
 * among the keys: INPUT_AHEAD bytes, of a paste, say.  When these are full it is left alone, and
 * the kernel makes whoever types or pastes wait, so that all arrives, however slow the guest.  But
 * from a guest that has taken nothing for INPUT_STALL_MS then, nothing is to be hoped for, and the
 * escape key may stand behind anything: so reading goes on, and what has no room is dropped and
 * counted.
 *
 * A terminal with others in its foreground is neither read nor set, until a look at it, which is
 * taken at SIGCONT and every INPUT_LOOK_MS, finds us there.  (A shell that continues a running job
 * in the foreground tells it nothing.)
 *
 * While attached, everything here is guarded by the lock that input_attach() was given.
 */
#ifndef HOST_INPUT_H
#define HOST_INPUT_H

#include "loop/loop.h"
#include "util/diag.h"
#include "util/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define INPUT_AHEAD    65536
#define INPUT_STALL_MS 10000
#define INPUT_LOOK_MS  250
#define INPUT_NO_KEY   (-1)

/* The guest's side; called on the loop's thread with the attached lock held. */
struct input_ops {
	size_t (*room)(void *ctx); /* how much it would take now */
	void (*take)(void *ctx, const uint8_t *data, size_t size);
	void (*escape)(void *ctx); /* the operator wants to quit */
};

enum input_state {
	INPUT_OPEN,
	INPUT_ELSEWHERE, /* a terminal with others in its foreground */
	INPUT_ENDED,     /* or there was none */
};

struct input {
	struct stream stream;
	enum input_state state;
	bool is_terminal;
	int escape_key; /* then x quits, and the key again is itself; INPUT_NO_KEY: none */
	const struct input_ops *ops;
	void *ctx;
	struct loop *loop;
	void (*ended)(void *owner); /* there is no more, from this stream; or NULL */
	void *owner;
	struct loop_source ready, wake, timer; /* the timer is a terminal's */
	bool is_watched, is_always_ready, is_escaped;
	bool is_full;     /* and waited for */
	bool is_dropping; /* and waited for long enough */
	bool was_taken;   /* something, since the timer was set */
	uint64_t n_dropped;
	uint64_t stall_ms, look_ms; /* INPUT_*_MS but for tests */
	size_t head, count;

	/* Last, and not set to zero: a page of it costs nothing before it is used. */
	uint8_t ring[INPUT_AHEAD];
};

/* Takes the stream over, also when it fails.  0 or -errno, and diag. */
int input_init(struct input *input, struct stream stream, int escape_key, struct diag *diag);
void input_fini(struct input *input);

/* A terminal goes raw here, and back in input_detach().  0 or -errno. */
int input_attach(struct input *input, struct loop *loop, pthread_mutex_t *lock,
	const struct input_ops *ops, void *ctx);
void input_detach(struct input *input);

/* With the lock held. */

/* The guest has room.  Any thread. */
void input_want(struct input *input);
/* A byte as if typed.  The loop's thread. */
void input_type(struct input *input, uint8_t byte);
/* Every key is the guest's. */
bool input_is_raw(const struct input *input);
/* Another stream, of no terminal, or (fd -1) none for now.  Takes it over.  The loop's thread. */
void input_set_stream(struct input *input, struct stream stream);
/* The process was continued, or moved between foreground and background.  The loop's thread. */
void input_look(struct input *input);

#endif
