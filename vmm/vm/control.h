/* SPDX-License-Identifier: MIT */
/* control.h - how the operator ends a VM: signals, the power button, the grace period */
#ifndef VM_CONTROL_H
#define VM_CONTROL_H

#include "vm/vm.h"

#define VM_RUNNING (-1)

/* End the run with this outcome, unless it has one already.  Any thread.  Defined in vm.c. */
void vm_end(struct vm *vm, enum exit_code outcome);

/* Take SIGTERM, SIGINT, SIGHUP and SIGQUIT from now on, as far as they are not ignored. */
int vm_control_init(struct vm *vm, struct diag *diag);
void vm_control_fini(struct vm *vm);

#endif
