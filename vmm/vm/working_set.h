/* SPDX-License-Identifier: MIT */
/* working_set.h - the pages that a machine touched after it went on from a snapshot, kept in a file
 * so that the next one has them ahead
 *
 * Without it a restored guest waits for each page when it touches it: for the host's disk, if the
 * page is not in memory, and for a page fault in any case.  With it a thread has the host read all
 * that was touched before, in large pieces, and makes ready what was written, while the guest runs.
 * The guest notices nothing but its speed, whatever the file says.
 *
 * docs/snapshot.md has the file byte by byte.  All of these on the control thread.
 */
#ifndef VM_WORKING_SET_H
#define VM_WORKING_SET_H

#include "config/config.h"
#include "mem/guest_mem_touched.h"
#include "state/state.h"
#include "util/diag.h"

#include <stdatomic.h>

struct vm;

/* All zero: there is none. */
struct working_set {
	const char *path; /* the settings' */
	bool is_recorded; /* at the end, and then: */
	int fd;
	uint8_t id[STATE_ID_SIZE];
	struct touched_run *run; /* to be touched; owned */
	size_t n;
	atomic_bool stop;
};

/* Open what the settings name, for a machine that goes on from the snapshot with this id.  One of
 * another snapshot is a warning, and not used.  -errno and diag.
 */
int working_set_open(struct working_set *set, const struct config *config,
	const uint8_t id[STATE_ID_SIZE], struct diag *diag);

/* Whether there is something to be fetched. */
bool working_set_is_used(const struct working_set *set);

/* Of a machine that has all its threads, have all of that touched by its worker. */
void working_set_begin(struct vm *vm);
/* No further; the worker has nothing to do. */
void working_set_stop(struct vm *vm);

/* Write what was touched.  Nobody uses RAM any more.  What goes wrong is in the log. */
void working_set_record(const struct working_set *set, struct guest_mem *mem);

/* RAM is no longer the snapshot's: nothing is recorded. */
void working_set_forget(struct working_set *set);

void working_set_close(struct working_set *set);

#endif
