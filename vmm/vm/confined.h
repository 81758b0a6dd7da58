/* SPDX-License-Identifier: MIT */
/* confined.h - when a machine's process gives up what (confine/confine.h)
 *
 * All but confined_pager() are the main thread's, in this order.  What this host lacks for a stage
 * is a warning in one line, and with --confine strict a failure.  -errno and diag.
 */
#ifndef VM_CONFINED_H
#define VM_CONFINED_H

#include "vm/vm.h"

/* Before anything of the machine's is open: see what there is to be. */
int confined_prepare(struct vm *vm, struct diag *diag);
/* The programs that work for it have been started; stage 2. */
int confined_settle(struct vm *vm, struct diag *diag);
/* Where a handler brings memory, the thread that looks whether it does begins after that, with
 * stage 4: it calls this itself.
 */
void confined_pager(const struct vm *vm);
/* All is open, and no thread that serves the guest has begun: the jail, and stage 3. */
int confined_close_in(struct vm *vm, struct diag *diag);
/* Threads may be made no more: have the one that a machine needs to be saved. */
int confined_start_worker(struct vm *vm, struct diag *diag);
/* The main thread is about to serve the guest; its own stage 4.  For good. */
void confined_control(const struct vm *vm);
/* All that is the machine's has been closed. */
void confined_end(struct vm *vm);

/* The machine has been saved as the template that it was to become: have it kept. */
int confined_keep_template(struct vm *vm, struct diag *diag);

/* Whether it could fork: 0, or -EOPNOTSUPP and diag. */
int confined_may_fork(const struct vm *vm, struct diag *diag);

#endif
