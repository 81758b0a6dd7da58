/* SPDX-License-Identifier: MIT */
/* start.h - how a machine comes to its entry, for the first time and again */
#ifndef VM_START_H
#define VM_START_H

#include "vm/vm.h"

/* All are the main thread's, and return 0, or -errno and diag.  Then vm->blame has the status. */

/* Everything that a guest needs: afterwards its vCPUs are parked at their entry.  start_undo() is
 * due, also after a failure.
 */
int start_create(struct vm *vm, struct diag *diag);
void start_undo(struct vm *vm);

/* Back to the entry, in place: the same VM, threads and descriptors.  The vCPUs are parked. */
int start_reset(struct vm *vm, struct diag *diag);

/* To see what a guest would be handed: guest RAM with all that is in it at entry, and nothing else.
 * Without KVM.
 */
int start_load_only(struct vm *vm, struct diag *diag);
void start_load_undo(struct vm *vm);

#endif
