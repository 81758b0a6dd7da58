/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* start_info.h - what a VMM leaves in guest memory for a PVH kernel
 *
 * The boot ABI is "x86/HVM direct boot" (Xen: docs/misc/pvh.pandoc;
 * public/arch-x86/hvm/start_info.h). All fields are little endian and naturally aligned; nothing is
 * packed.  Any address that is 0 means "not present".  Every structure must lie below 4 GiB; Linux
 * reads the module list and the memory map through its first 1 GiB, so a VMM does well to keep
 * everything low.
 */
#ifndef PVH_START_INFO_H
#define PVH_START_INFO_H

#include <stdint.h>

/* "xEn3" with bit 7 of the 'E' set. */
#define PVH_START_MAGIC 0x336ec578u

#define PVH_START_VERSION 1

/* %ebx points here at entry. */
struct hvm_start_info {
	uint32_t magic;
	uint32_t version;
	uint32_t flags; /* SIF_* of Xen; 0 elsewhere */
	uint32_t nr_modules;
	uint64_t modlist_paddr; /* struct hvm_modlist_entry[nr_modules] */
	uint64_t cmdline_paddr; /* NUL-terminated ASCII */
	uint64_t rsdp_paddr;    /* ACPI root pointer */
	/* Version 0 ends here. */
	uint64_t memmap_paddr;   /* struct hvm_memmap_table_entry[memmap_entries] */
	uint32_t memmap_entries; /* 0: there is no map, memmap_paddr says nothing */
	uint32_t reserved;       /* 0 */
};

struct hvm_modlist_entry {
	uint64_t paddr;
	uint64_t size;
	uint64_t cmdline_paddr; /* NUL-terminated ASCII */
	uint64_t reserved;      /* 0 */
};

/* Types of memory: the ACPI address range types, equal to those of e820. */
enum {
	PVH_MEMMAP_RAM = 1,
	PVH_MEMMAP_RESERVED = 2,
	PVH_MEMMAP_ACPI = 3,
	PVH_MEMMAP_NVS = 4,
	PVH_MEMMAP_UNUSABLE = 5,
	PVH_MEMMAP_DISABLED = 6,
	PVH_MEMMAP_PMEM = 7,
};

struct hvm_memmap_table_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type;     /* PVH_MEMMAP_* */
	uint32_t reserved; /* 0 */
};

#define PVH_START_INFO_V0_SIZE 40

_Static_assert(sizeof(struct hvm_start_info) == 56, "start info");
_Static_assert(__builtin_offsetof(struct hvm_start_info, flags) == 8, "flags");
_Static_assert(__builtin_offsetof(struct hvm_start_info, nr_modules) == 12, "nr_modules");
_Static_assert(__builtin_offsetof(struct hvm_start_info, modlist_paddr) == 16, "modlist_paddr");
_Static_assert(__builtin_offsetof(struct hvm_start_info, cmdline_paddr) == 24, "cmdline_paddr");
_Static_assert(__builtin_offsetof(struct hvm_start_info, rsdp_paddr) == 32, "rsdp_paddr");
_Static_assert(__builtin_offsetof(struct hvm_start_info, memmap_paddr) == PVH_START_INFO_V0_SIZE,
	"version 0 ends before memmap_paddr");
_Static_assert(__builtin_offsetof(struct hvm_start_info, memmap_entries) == 48, "memmap_entries");
_Static_assert(sizeof(struct hvm_modlist_entry) == 32, "modlist entry");
_Static_assert(__builtin_offsetof(struct hvm_modlist_entry, cmdline_paddr) == 16, "cmdline_paddr");
_Static_assert(sizeof(struct hvm_memmap_table_entry) == 24, "memmap entry");
_Static_assert(__builtin_offsetof(struct hvm_memmap_table_entry, type) == 16, "type");

#endif
