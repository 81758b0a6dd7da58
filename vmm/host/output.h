/* SPDX-License-Identifier: MIT */
/* output.h - what a guest says, on its way to whoever reads it
 *
 * Gathered in a ring and written a line at a time, without ever blocking: by the thread that
 * completes the line, or by the loop when the reader was slow.  When the ring is full the sender is
 * told to wait; when the reader has taken nothing for OUTPUT_STALL_MS, further output is dropped
 * and counted: a dead reader must not hold a guest for ever, unless the guest can bear that.
 *
 * While attached, everything here is guarded by the lock that output_attach() was given.
 */
#ifndef HOST_OUTPUT_H
#define HOST_OUTPUT_H

#include "loop/loop.h"
#include "util/diag.h"
#include "util/stream.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OUTPUT_RING_SIZE  65536
#define OUTPUT_RING_SLACK 16 /* a guest that was told of room sends a whole FIFO unasked */
#define OUTPUT_STALL_MS   2000
#define OUTPUT_FINISH_MS  5000 /* for a reader that is slow, at the end */

struct output {
	const char *name;     /* what messages call it */
	struct stream stream; /* fd -1: what is sent goes nowhere */
	struct loop *loop;
	struct loop_source ready, timer;
	void (*has_room)(void *ctx);
	void *ctx;
	bool is_watched, is_ticking, is_broken;
	bool is_visitor;   /* the reader comes and goes */
	bool is_absent;    /* and is not here: the ring keeps what it has room for */
	bool is_patient;   /* a reader that takes nothing is waited for, for ever */
	size_t wants_room; /* to be told when there is so much; 0: not */
	size_t head, count;
	uint64_t progress_ns; /* when the reader last took something, or had nothing to take */
	uint64_t n_dropped;
	uint64_t stall_ms, finish_ms; /* of patience; OUTPUT_*_MS but for tests */

	/* Last, and not set to zero: a page of it costs nothing before it is used. */
	uint8_t ring[OUTPUT_RING_SIZE];
};

/* Takes the stream over, also when it fails; `name` must outlive the output.  0 or -errno, and
 * diag.
 */
int output_init(struct output *output, const char *name, struct stream stream, struct diag *diag);

/* Write out what is left, as long as somebody reads it, for OUTPUT_FINISH_MS at most, and not when
 * `hurry_fd` (-1: none) is readable.  Not while attached.
 */
void output_fini(struct output *output, int hurry_fd);

/* The same on the heap; NULL and diag. */
struct output *output_create(const char *name, struct stream stream, struct diag *diag);
void output_destroy(struct output *output, int hurry_fd);

/* The file at `path`, emptied; a FIFO must have its reader.  A stream of fd -1, and in diag what is
 * wrong, after "OPTION file:PATH: ".
 */
struct stream output_open_file(const char *option, const char *path, struct diag *diag);

/* Let the loop write what the reader was too slow for, with `lock` held.  has_room() (or NULL) is
 * called so when output_send() has said false and there is room again.  0 or -errno.
 */
int output_attach(struct output *output, struct loop *loop, pthread_mutex_t *lock,
	void (*has_room)(void *ctx), void *ctx);
void output_detach(struct output *output);

/* With the lock held; none waits. */

/* How much was taken: all that there is room for.  If that is less, has_room() is called later. */
size_t output_write(struct output *output, const uint8_t *data, size_t size);
bool output_send(struct output *output, uint8_t byte); /* true: there is room for another */
bool output_can_send(const struct output *output);
void output_flush(struct output *output); /* write what can be written now */

/* The loop's thread: the reader has come, or another one, or (fd -1) none is there any more, and
 * what it has not taken is gone.  Takes the stream over.
 */
void output_set_stream(struct output *output, struct stream stream);

#endif
