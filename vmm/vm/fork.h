/* SPDX-License-Identifier: MIT */
/* fork.h - a machine that runs is copied into another process, from which others go on
 *
 * The machine stands for as long as fork(2) takes.  The process that comes of it has the machine's
 * memory as it was then, shared page by page until one of the two writes, and its state; it is a
 * server (server.h), and outlives the machine.  docs/clones.md says what it costs.
 */
#ifndef VM_FORK_H
#define VM_FORK_H

#include "util/diag.h"

#include <stdbool.h>
#include <sys/types.h>

struct vm;

/* Those that are there still, for who waits for their ends. */
struct fork_list {
	struct fork_child *first;
};

struct fork_target {
	const char *path; /* of the socket where it is to serve; copied */
	bool is_once;     /* the first client, which is to come soon, is the only one */
};

/* Where in `target` it is told; the socket is there when this returns.  The machine may be paused,
 * and then stays so.  The control thread, from within the loop.  The server's process, or -errno
 * and diag: there is none.
 */
pid_t fork_machine(struct vm *vm, const struct fork_target *target, struct diag *diag);

/* The machine ends: whose end is nobody's business any more. */
void fork_forget(struct vm *vm);

#endif
