/* SPDX-License-Identifier: MIT */
/* mptable.h - the MP table: processors and interrupts for guests that read no ACPI
 *
 * Source: Intel MultiProcessor Specification 1.4, chapter 4.  It says what the MADT says, in the
 * way of 1997; whoever has ACPI looks there first.
 */
#ifndef BOOT_MPTABLE_H
#define BOOT_MPTABLE_H

#include "mem/guest_mem.h"

#include <stdint.h>

/* Build it for APIC ids 0 .. n_cpus - 1 at `gpa`, its floating pointer, which guests search for at
 * multiples of 16, first.  Its size in bytes, or -ENOSPC: more than `size`.
 */
int mptable_build(const struct guest_mem *mem, gpa_t gpa, uint64_t size, uint32_t n_cpus);

#endif
