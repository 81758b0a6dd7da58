/* SPDX-License-Identifier: MIT */
/* consoles.h - the consoles of a machine: the serial line's, and those of virtio
 *
 * Devices ask for theirs while the machine is made.  All are opened at once and last, so that no
 * file is emptied for a machine that will not start; and they outlive the devices, as their readers
 * may be slow.  One of them, at most, has the operator's terminal: standard input and output are
 * given to one.
 */
#ifndef HOST_CONSOLES_H
#define HOST_CONSOLES_H

#include "host/console.h"
#include "util/timeline.h"

#define CONSOLES_MAX 32 /* more than a machine has devices */

struct consoles;

/* Between a device and the host's end. */
struct console_line {
	struct consoles *all;
	struct console_spec spec;
	pthread_mutex_t *lock; /* the device's */
	const struct console_ops *ops;
	void *ctx;
	struct console *console; /* NULL: not open */
};

struct consoles {
	struct console_line line[CONSOLES_MAX];
	unsigned int n;
	struct timeline *timeline; /* NULL if none is wanted */
	int escape_key;            /* the same for all */
	void (*escape)(void *ctx); /* it was typed, and x: the operator wants to quit */
	void *ctx;
};

/* The main thread's, all of these.
 *
 * For a device, whose lock, operations and `ctx` they are.  There is room: it is our bug if not.
 */
struct console_line *consoles_add(struct consoles *consoles, const struct console_spec *spec,
	pthread_mutex_t *lock, const struct console_ops *ops, void *ctx);
/* Open and attach all.  0; -EINVAL: what the operator named cannot be used; else -errno; and diag.
 */
int consoles_open(struct consoles *consoles, struct loop *loop, struct diag *diag);
/* The devices go. */
void consoles_detach(struct consoles *consoles, int hurry_fd);
/* Write out what is left: see console_destroy(). */
void consoles_destroy(struct consoles *consoles, int hurry_fd);

/* Write what was said and can be written now: no line's end may follow for a while.  No lock held.
 */
void consoles_flush(struct consoles *consoles);

/* Signals, on the loop's thread, with no lock held: they take the device's. */
bool consoles_interrupt(struct consoles *consoles);
void consoles_stop(struct consoles *consoles);
void consoles_continue(struct consoles *consoles);
void consoles_resize(struct consoles *consoles);

/* What a guest says, with the device's lock held: as console_write(). */
size_t console_line_write(struct console_line *line, const uint8_t *data, size_t size);

#endif
