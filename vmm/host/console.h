/* SPDX-License-Identifier: MIT */
/* console.h - the host's end of a guest's serial line, virtio-console or port
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
#include "util/listener.h"

/* The guest's side; called on the loop's thread with the attached lock held. */
struct console_ops {
	struct input_ops input;
	void (*output_room)(void *ctx);
	/* The operator's terminal has so many columns and rows.  NULL: whatever it has. */
	void (*resized)(void *ctx, uint16_t cols, uint16_t rows);
	/* Somebody has come to the other end, where there is nobody at first, or has left.  NULL:
	 * whoever is there.
	 */
	void (*connected)(void *ctx, bool is_connected);
};

enum console_kind {
	CONSOLE_STDIO,
	CONSOLE_FILE,   /* takes the output */
	CONSOLE_PTY,    /* a new pseudo-terminal */
	CONSOLE_SOCKET, /* a Unix socket that listens, with one at a time at the other end */
	CONSOLE_NULL,
	CONSOLE_AUTO, /* the operator has not said; not for console_open() */
};

/* Where to, and what messages call it. */
struct console_spec {
	const char *option; /* "--console" */
	const char *name;   /* "console"; these strings outlive the console */
	enum console_kind kind;
	const char *path; /* of a file or a socket */
	int escape_key;   /* standard input's, if it is a terminal; or INPUT_NO_KEY */
	bool is_patient;  /* nothing is dropped: a reader that takes nothing is waited for */
};

/* A socket, and who is at its other end. */
struct console_door {
	struct listener at;                  /* fd -1: it is none, and nothing of it counts */
	struct loop_source listener, hangup; /* the client's once more: fd -1 without one */
	bool has_left;                       /* the client has, but maybe for what it sent last */
};

struct console {
	struct console_door door;
	const struct console_ops *ops;
	void *ctx;
	int extra_fd;   /* a pty's other end, kept open so that the line never hangs up; else -1 */
	bool is_screen; /* output is a terminal */
	bool is_one_terminal; /* and input is the same */
	struct screen screen;
	struct input in;
	struct output out;
};

/* Heap memory, or NULL and diag.  A terminal goes raw in console_attach().  Where a pseudo-terminal
 * is, is said on standard error.
 */
struct console *console_open(const struct console_spec *spec, struct diag *diag);

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
/* How much was taken: if that is less, output_room() is called when there is room for more. */
size_t console_write(struct console *console, const uint8_t *data, size_t size);
void console_want_input(struct console *console);

/* The loop's thread, with the attached lock held. */

/* SIGINT came: where it is a key like any other, type it.  False: it is none. */
bool console_interrupt(struct console *console);
/* SIGTSTP came: give the terminal back and stop, until SIGCONT. */
void console_stop(struct console *console);
/* SIGCONT came. */
void console_continue(struct console *console);
/* SIGWINCH came. */
void console_resize(struct console *console);

#endif
