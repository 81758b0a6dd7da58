/* SPDX-License-Identifier: MIT */
/* merge.h - let the host merge equal pages of guests (KSM), as far as --merge says */
#ifndef VM_MERGE_H
#define VM_MERGE_H

#include "vm/vm.h"

/* In each life after boot_load(), as memory that is mapped later would be left out.  Main thread.
 * 0; -ENOTSUP and diag if the host's kernel cannot.
 */
int vm_merge(struct vm *vm, struct diag *diag);

/* Tell, once, if nothing will come of it all the same. */
void vm_merge_warn(const struct vm *vm);

#endif
