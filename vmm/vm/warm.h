/* SPDX-License-Identifier: MIT */
/* warm.h - a snapshot that is ready for machines to begin with, each in a process of its own
 *
 * Whoever has it open forks, and the child is the machine: memory is mapped, KVM is open and has
 * been asked what it offers.  Nothing of RAM is touched before, so that a fork costs the same
 * whatever its size; what the machines have in common they share as pages of the file.
 */
#ifndef VM_WARM_H
#define VM_WARM_H

#include "config/config.h"
#include "kvm/kvm.h"
#include "mem/guest_mem.h"
#include "util/diag.h"
#include "vm/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

struct warm {
	const char *path; /* not owned */
	struct snapshot snapshot;
	struct config config; /* the snapshot's */
	int leash_fd;         /* of a machine that is to end when nobody has its other end; -1 */
	/* The next two of a machine that goes on elsewhere, and writes to its disks: */
	struct vm *from; /* it, in a process of which this is a fork; NULL: it began with files */
	struct device_copies *copies; /* of what its devices would not find again; not owned */
	bool has_parts; /* the next two are there; machines whose RAM others share make their own */
	struct kvm kvm;
	struct guest_mem mem;
};

/* Open a snapshot and what its machines begin with.  -errno and diag. */
int warm_open(struct warm *warm, const char *path, struct diag *diag);
void warm_close(struct warm *warm);

/* The same of a machine that was paused when this process was forked from its own, and had its
 * devices copied: its memory and what KVM offers become the warm one's, and so does `state`, bytes
 * from saved_write() that came from malloc().  -errno and diag.
 */
int warm_open_copy(struct warm *warm, struct vm *from, struct device_copies *copies, uint8_t *state,
	size_t size, struct diag *diag);

/* In a process that was forked for it and has one thread: be the machine, from the moment
 * `since_ns` on, with options as `pronto restore` takes them (argv[0] is a name for messages,
 * argv[argc] is NULL), in which each "%n", or "%2n" with two digits, stands for
 * `number`.  The process's status; what went
 * wrong is in the log.
 */
int warm_live(struct warm *warm, int argc, char **argv, unsigned int number, uint64_t since_ns);

#endif
