/* SPDX-License-Identifier: MIT */
/* memmap.h - the memory map that the guest is told */
#ifndef BOOT_MEMMAP_H
#define BOOT_MEMMAP_H

#include "mem/guest_mem.h"

#include <pvh/start_info.h>
#include <stdbool.h>

/* Linux has 128 slots in its zero page, adds one of its own and does not count. */
#define MEMMAP_MAX_ENTRIES 127

struct memmap {
	struct hvm_memmap_table_entry entry[MEMMAP_MAX_ENTRIES]; /* sorted, disjoint */
	uint32_t n_entries;
	gpa_t tables_end; /* what is reserved below 1 MiB holds something up to here */
};

/* Describe `memory` bytes of RAM, with tables that end at `tables_end`: RAM to 640 KiB, the ACPI
 * area reserved, RAM from 1 MiB, the device hole left out, RAM above 4 GiB; reserved are the I/O
 * APIC, the local APIC and the pages that KVM keeps for itself on older Intel hosts.
 */
void memmap_build(struct memmap *map, uint64_t memory, gpa_t tables_end);

/* Say that [start, start + size), of which nothing is said yet, is reserved. */
void memmap_reserve(struct memmap *map, gpa_t start, uint64_t size);

/* All of [gpa, gpa + size) is inside one RAM entry; size > 0. */
bool memmap_is_ram(const struct memmap *map, gpa_t gpa, uint64_t size);

/* Bytes of RAM in all. */
uint64_t memmap_ram(const struct memmap *map);

/* Name of a PVH_MEMMAP_* type, for people. */
const char *memmap_type_name(uint32_t type);

#endif
