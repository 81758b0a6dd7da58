/* SPDX-License-Identifier: MIT */
/* saved.h - all of a machine but its RAM, into a file's sections and out of them */
#ifndef VM_SAVED_H
#define VM_SAVED_H

#include "state/state.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

/* Whether all of the machine can be saved: 0, or -EOPNOTSUP and diag, which names what cannot. */
int saved_check(const struct vm *vm, struct diag *diag);

/* Add its sections.  The machine is paused, its devices are quiet.  -errno and diag. */
int saved_write(struct vm *vm, struct state_writer *writer, struct diag *diag);

/* Have a machine whose parts were all just made, RAM among them, be as that one was: paused, and
 * its devices quiet.  -errno and diag.
 */
int saved_load(struct vm *vm, struct snapshot *snapshot, struct diag *diag);

#endif
