/* SPDX-License-Identifier: MIT */
/* console.h - the host's end of the guest's serial line
 *
 * Input and output (see input.h, output.h), which are each other's business where they are one
 * terminal: what the guest has done to it is undone at the end.
 *
 * While attached, everything here is guarded by the lock that console_attach() was given.
 */
#ifndef HOST_CONSOLE_H
#define HOST_CONSOLE_H

#include "host/input.h"
#include "host/output.h"
#include "host/screen.h"

/* The guest's side; called on the loop's thread with the attached lock held. */
struct console_ops {
	struct input_ops input;
	void (*output_room)(void *ctx);
};

struct console {
	int extra_fd;   /* a pty's other end, kept open so that the line never hangs up; else -1 */
	bool is_screen; /* output is a terminal */
	struct screen screen;
	struct input in;
	struct output out;
};

/* Ways to open one; heap memory, or NULL and diag.  A terminal goes raw in console_attach(). */
struct console *console_open_stdio(int escape_key, struct diag *diag);
struct console *console_open_file(const char *path, struct diag *diag);
struct console *console_open_pty(struct diag *diag); /* says where on standard error */
struct console *console_open_null(struct diag *diag);

/* Write out what is left (see output_fini() for how long), free. */
void console_destroy(struct console *console, int hurry_fd);

/* Connect to a guest; `lock` guards both sides.  0 or -errno and diag. */
int console_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock,
	const struct console_ops *ops, void *ctx, struct diag *diag);

/* The terminal is as it was.  Waits for its answer to a guest's last question, CONSOLE_ANSWER_MS at
 * most, and not when `hurry_fd` (-1: none) is readable.
 */
void console_detach(struct console *console, int hurry_fd);
#define CONSOLE_ANSWER_MS 500

/* The guest's side to the host's, with the attached lock held; none waits. */
bool console_send(struct console *console, uint8_t byte); /* true: there is room for another */
bool console_can_send(struct console *console);
void console_want_input(struct console *console);

/* The loop's thread, with the attached lock held. */

/* SIGINT came: where it is a key like any other, type it.  False: it is none. */
bool console_interrupt(struct console *console);
/* SIGTSTP came: give the terminal back and stop, until SIGCONT. */
void console_stop(struct console *console);
/* SIGCONT came. */
void console_continue(struct console *console);

#endif
