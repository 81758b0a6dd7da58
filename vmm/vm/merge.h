/* SPDX-License-Identifier: MIT */
/* merge.h - let the host merge equal pages of guests (KSM), as far as --merge says */
#ifndef VM_MERGE_H
#define VM_MERGE_H

#include "vm/vm.h"

/* After boot_load(), as memory that is mapped later would be left out.  Main thread.  0; -ENOTSUP
 * and diag if the host's kernel cannot.  A host that can, but does not at present, is worth a
 * warning.
 */
int vm_merge(struct vm *vm, const struct boot_spec *spec, struct diag *diag);

#endif
