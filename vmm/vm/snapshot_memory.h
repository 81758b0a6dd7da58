/* SPDX-License-Identifier: MIT */
/* snapshot_memory.h - RAM into its file, while the machine stands still for as short as can be
 *
 * Two ways.  Where RAM can be watched (guest_mem_watch.h) a thread writes it while the machine
 * runs, and again what was written meanwhile, until little is left.  For that the machine is
 * paused; it is copied, and written by the thread while the machine goes on.
 *
 * Else, or if too much is left, a forked child has RAM as it was when the machine was paused.  A
 * machine that may not fork stands still until all is written.
 */
#ifndef VM_SNAPSHOT_MEMORY_H
#define VM_SNAPSHOT_MEMORY_H

#include "loop/loop.h"
#include "mem/guest_mem_watch.h"
#include "util/diag.h"
#include "vm/snapshot_parts.h"
#include "vm/worker.h"

#include <sys/types.h>

enum memory_extent {
	MEMORY_ALL,
	MEMORY_NOT_IN_FILE, /* of which RAM is a map */
	MEMORY_SINCE_TAKEN, /* by guest_mem_take_written(): it is watched */
};

struct memory_writer {
	struct guest_mem *mem;
	int fd; /* an empty file, not owned */
	struct snapshot_trailer trailer;
	enum memory_extent extent;
	bool stays_watched; /* when it is done */

	struct mem_runs runs; /* what is left of it */
	uint8_t *copy;        /* room for them, if they are few; NULL: there is none */
	bool is_ahead;        /* all is in the file but what is written from then on */

	/* Who is at it: */
	struct worker *worker;  /* not owned */
	bool may_fork;          /* a confined machine may not */
	struct loop_source end; /* readable when it is done; fd -1: nobody is */
	pid_t child;            /* -1: it is the worker */
	bool needs_stillness;   /* of the machine, until it is done */
	atomic_bool stop;
	int ret; /* the worker's */
};

/* All of these on the control thread.  -errno and diag: nobody is at it. */

/* Begin while the machine runs.  -EOPNOTSUPP: it has to be paused first. */
int memory_writer_go_ahead(struct memory_writer *writer, struct diag *diag);

/* The machine is paused: whatever else is to be written is so afterwards, as it is now, and the
 * machine may go on unless `needs_stillness`.
 */
int memory_writer_take(struct memory_writer *writer, struct diag *diag);

/* Wait until it is done; 0 or -errno.  `stop`: as soon as it can be, with whatever is done. */
int memory_writer_wait(struct memory_writer *writer, bool stop);

/* Nobody is at it. */
void memory_writer_free(struct memory_writer *writer);

#endif
