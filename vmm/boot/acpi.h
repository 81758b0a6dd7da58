/* SPDX-License-Identifier: MIT */
/* acpi.h - the ACPI tables: hardware-reduced ACPI 6.4
 *
 * RSDP, RSDT, XSDT, FADT, DSDT, MADT, SPCR, with PCI the MCFG, built at LAYOUT_ACPI.  Pure function
 * on guest RAM.
 */
#ifndef BOOT_ACPI_H
#define BOOT_ACPI_H

#include "mem/guest_mem.h"

#include <stdbool.h>
#include <stdint.h>

#define ACPI_MAX_TABLES   8
#define ACPI_VMGENID_SIZE 16

struct acpi_config {
	uint32_t n_cpus;         /* APIC ids 0 .. n_cpus - 1 */
	uint32_t n_virtio_slots; /* announced in the DSDT: LNRO0005, see bus/platform.h */
	bool has_pci;            /* a root bridge, and configuration space by ECAM (MCFG) */
};

struct acpi_table_ref {
	char signature[5];
	gpa_t gpa;
	uint32_t size;
};

struct acpi_tables {
	gpa_t rsdp;
	uint32_t rsdp_size;
	struct acpi_table_ref table[ACPI_MAX_TABLES]; /* in the order they lie in memory */
	uint32_t n_tables;
	/* ACPI_VMGENID_SIZE bytes among them, 8-aligned: the machine's generation ID, which the
	 * DSDT tells of.  Zero; the machine fills it.
	 */
	gpa_t vmgenid;
	gpa_t end; /* of all */
};

/* 0, or -ENOSPC if the area cannot hold them (too many CPUs). */
int acpi_build(
	const struct guest_mem *mem, const struct acpi_config *config, struct acpi_tables *tables);

#endif
