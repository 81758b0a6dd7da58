/* SPDX-License-Identifier: MIT */
/* vmgenid.h - tell the guest whether it is a copy
 *
 * The generation ID is 16 random bytes in guest RAM, where ACPI says (boot/dsdt.c).  They stay for
 * as long as the machine goes on, through pauses and resets; a copy of it, made of a snapshot, has
 * others, and Linux then renews its random numbers.  Source: Microsoft, "Virtual Machine Generation
 * ID", 2012.
 */
#ifndef VM_VMGENID_H
#define VM_VMGENID_H

#include "boot/acpi.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct vm;

/* Zero: none was chosen yet. */
struct vmgenid {
	uint8_t id[ACPI_VMGENID_SIZE];
	bool is_chosen;
};

/* Both: the main thread, while no vCPU runs.  The ID goes to vm->handover.acpi.vmgenid.  -EFAULT:
 * that is not RAM; else getrandom(2)'s error.
 *
 * At the entry, in RAM that was just loaded: the machine's ID, which is chosen at the first call.
 */
int vmgenid_write(struct vm *vm, struct diag *diag);

/* The machine is a copy, all of whose state is in place: choose another ID, and have the guest told
 * of it by the first instructions that it runs.
 */
int vmgenid_renew(struct vm *vm, struct diag *diag);

#endif
