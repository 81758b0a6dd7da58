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
	bool has_parts; /* the next two are there; machines whose RAM others share make their own */
	struct kvm kvm;
	struct guest_mem mem;
};

/* Open a snapshot and what its machines begin with.  -errno and diag. */
int warm_open(struct warm *warm, const char *path, struct diag *diag);
void warm_close(struct warm *warm);

/* In a process that was forked for it and has one thread: be the machine, from the moment
 * `since_ns` on, with options as `pronto restore` takes them (argv[0] is a name for messages,
 * argv[argc] is NULL), in which each "%n" stands for `number`.  The process's status; what went
 * wrong is in the log.
 */
int warm_live(struct warm *warm, int argc, char **argv, unsigned int number, uint64_t since_ns);

#endif
