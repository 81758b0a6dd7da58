/* SPDX-License-Identifier: MIT */
/* console.h - the host's end of the guest's serial line
 *
 * Output goes by output.h, which never blocks.  Input is read only as the guest takes it, except
 * from a terminal, where the escape key must always work.
 *
 * While attached, everything here is guarded by the lock that console_attach() was given.
 */
#ifndef HOST_CONSOLE_H
#define HOST_CONSOLE_H

#include "host/output.h"
#include "loop/loop.h"
#include "util/diag.h"

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_TYPE_AHEAD 256
#define CONSOLE_ESCAPE_KEY 0x01 /* Ctrl-A; then x quits, Ctrl-A sends itself */

/* The guest's side; called on the loop's thread with the attached lock held. */
struct console_ops {
	size_t (*input_room)(void *ctx);
	void (*input)(void *ctx, const uint8_t *data, size_t size);
	void (*output_room)(void *ctx);
	void (*escape)(void *ctx); /* the operator wants to quit */
};

struct console {
	int in_fd;        /* -1: none */
	int extra_fd;     /* a pty's other end, kept open so that the line never hangs up */
	bool is_terminal; /* in_fd is a terminal in raw mode */

	const struct console_ops *ops;
	void *ctx;
	struct loop *loop;
	struct loop_source in, wake;

	bool in_ended, in_watched, in_always_ready, escaped;
	uint8_t ahead[CONSOLE_TYPE_AHEAD];
	size_t n_ahead;

	struct output out; /* last: the end of it is not set to zero */
};

/* Ways to open one; heap memory, or NULL and diag.  The terminal goes raw in console_attach(). */
struct console *console_open_stdio(struct diag *diag);
struct console *console_open_file(const char *path, struct diag *diag);
struct console *console_open_pty(struct diag *diag); /* says where on standard error */
struct console *console_open_null(struct diag *diag);

/* Write out what is left (see output_fini() for how long), free. */
void console_destroy(struct console *console, int hurry_fd);

/* Connect to a guest; `lock` guards both sides.  0 or -errno and diag. */
int console_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock,
	const struct console_ops *ops, void *ctx, struct diag *diag);
void console_detach(struct console *console);

/* The guest's side to the host's, with the attached lock held; none blocks. */
bool console_send(struct console *console, uint8_t byte); /* true: there is room for another */
bool console_can_send(struct console *console);
void console_want_input(struct console *console);

/* A byte as if typed.  The loop's thread, with the attached lock held. */
void console_type(struct console *console, uint8_t byte);

#endif
