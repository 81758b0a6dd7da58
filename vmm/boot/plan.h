/* SPDX-License-Identifier: MIT */
/* plan.h - where everything that is loaded goes, before any of it is read */
#ifndef BOOT_PLAN_H
#define BOOT_PLAN_H

#include "boot/boot.h"

/* Fill in the hand-over's memory map, load offset and modules for `memory` bytes of guest RAM and
 * tables that end at `tables_end`.  -ENOSPC: something has no place; the reason names the least
 * size of memory in which all has one, if there is such a size.  -ENOEXEC: the kernel lies where it
 * never can.  -EINVAL: an empty initrd.
 */
int plan_boot(struct handover *handover, const struct boot_spec *spec, uint64_t memory,
	gpa_t tables_end, struct diag *diag);

#endif
