/* SPDX-License-Identifier: MIT */
/* acpi_spec.h - the fixed ACPI structures as the specification lays them out
 *
 * ACPI 6.4, chapter 5; SPCR: Microsoft's Serial Port Console Redirection Table, revision 2.  Only
 * the values that a hardware-reduced machine needs have names.
 */
#ifndef BOOT_ACPI_SPEC_H
#define BOOT_ACPI_SPEC_H

#include <stdint.h>

#define ACPI_PACKED __attribute__((packed))

struct ACPI_PACKED acpi_rsdp {
	char signature[8]; /* "RSD PTR " */
	uint8_t checksum;  /* of the first 20 bytes */
	char oem_id[6];
	uint8_t revision;
	uint32_t rsdt;
	uint32_t length;
	uint64_t xsdt;
	uint8_t extended_checksum; /* of all */
	uint8_t reserved[3];
};

struct ACPI_PACKED acpi_header {
	char signature[4];
	uint32_t length;
	uint8_t revision;
	uint8_t checksum; /* makes the sum of the table's bytes 0 */
	char oem_id[6];
	char oem_table_id[8];
	uint32_t oem_revision;
	char creator_id[4];
	uint32_t creator_revision;
};

/* Generic address structure. */
struct ACPI_PACKED acpi_gas {
	uint8_t space;
	uint8_t bit_width;
	uint8_t bit_offset;
	uint8_t access_size;
	uint64_t address;
};

#define ACPI_SPACE_IO    1
#define ACPI_ACCESS_BYTE 1

struct ACPI_PACKED acpi_fadt {
	struct acpi_header header;
	uint32_t facs;
	uint32_t dsdt;
	uint8_t reserved0;
	uint8_t pm_profile;
	uint8_t legacy_pm[63]; /* SCI, PM1, PM2, timer, GPE, C-states, CMOS indices: absent */
	uint16_t boot_arch;    /* FADT_BOOT_* */
	uint8_t reserved1;
	uint32_t flags; /* FADT_FLAG_* */
	struct acpi_gas reset_reg;
	uint8_t reset_value;
	uint16_t arm_boot_arch;
	uint8_t minor_version;
	uint64_t x_facs;
	uint64_t x_dsdt;
	struct acpi_gas x_legacy_pm[8]; /* PM1a event to GPE1: absent */
	struct acpi_gas sleep_control;
	struct acpi_gas sleep_status;
	uint64_t hypervisor_vendor;
};

/* IA-PC boot architecture.  LEGACY_DEVICES (bit 0) and 8042 (bit 1) are not there. */
#define FADT_BOOT_VGA_NOT_PRESENT (1u << 2)
#define FADT_BOOT_NO_CMOS_RTC     (1u << 5)

#define FADT_FLAG_WBINVD     (1u << 0)
#define FADT_FLAG_PWR_BUTTON (1u << 4) /* no fixed-feature power button */
#define FADT_FLAG_SLP_BUTTON (1u << 5) /* no fixed-feature sleep button */
#define FADT_FLAG_RESET_REG  (1u << 10)
#define FADT_FLAG_HW_REDUCED (1u << 20)

/* PCI Firmware 3.3, 4.1.2: one allocation of configuration space. */
struct ACPI_PACKED acpi_mcfg {
	struct acpi_header header;
	uint64_t reserved0;
	uint64_t base;
	uint16_t segment;
	uint8_t first_bus, last_bus;
	uint32_t reserved1;
};

struct ACPI_PACKED acpi_madt {
	struct acpi_header header;
	uint32_t lapic;
	uint32_t flags; /* bit 0, PCAT_COMPAT: there are 8259s to mask; there are none */
};

struct ACPI_PACKED madt_lapic {
	uint8_t type; /* 0 */
	uint8_t length;
	uint8_t processor_uid;
	uint8_t apic_id;
	uint32_t flags; /* bit 0: enabled */
};

struct ACPI_PACKED madt_ioapic {
	uint8_t type; /* 1 */
	uint8_t length;
	uint8_t id;
	uint8_t reserved;
	uint32_t address;
	uint32_t gsi_base;
};

struct ACPI_PACKED madt_lapic_nmi {
	uint8_t type; /* 4 */
	uint8_t length;
	uint8_t processor_uid; /* 0xff: all */
	uint16_t flags;        /* 0: as the bus has it */
	uint8_t lint;
};

struct ACPI_PACKED acpi_spcr {
	struct acpi_header header;
	uint8_t interface; /* 0: full 16550 */
	uint8_t reserved0[3];
	struct acpi_gas base;
	uint8_t interrupt_type; /* bit 1: through an I/O APIC */
	uint8_t irq;            /* for 8259s only */
	uint32_t gsi;
	uint8_t baud_rate; /* 7: 115200 */
	uint8_t parity;
	uint8_t stop_bits; /* 1 */
	uint8_t flow_control;
	uint8_t terminal_type; /* 3: ANSI */
	uint8_t reserved1;
	uint16_t pci_device; /* 0xffff: not PCI; the vendor likewise */
	uint16_t pci_vendor;
	uint8_t pci_bus;
	uint8_t pci_slot;
	uint8_t pci_function;
	uint32_t pci_flags;
	uint8_t pci_segment;
	uint32_t reserved2;
};

_Static_assert(sizeof(struct acpi_rsdp) == 36, "RSDP");
_Static_assert(sizeof(struct acpi_header) == 36, "table header");
_Static_assert(sizeof(struct acpi_gas) == 12, "generic address");
_Static_assert(__builtin_offsetof(struct acpi_fadt, boot_arch) == 109, "FADT boot architecture");
_Static_assert(__builtin_offsetof(struct acpi_fadt, reset_reg) == 116, "FADT reset register");
_Static_assert(__builtin_offsetof(struct acpi_fadt, x_dsdt) == 140, "FADT X_DSDT");
_Static_assert(__builtin_offsetof(struct acpi_fadt, sleep_control) == 244, "FADT sleep control");
_Static_assert(sizeof(struct acpi_fadt) == 276, "FADT");
_Static_assert(sizeof(struct acpi_madt) == 44, "MADT");
_Static_assert(sizeof(struct madt_lapic) == 8, "MADT local APIC");
_Static_assert(sizeof(struct madt_ioapic) == 12, "MADT I/O APIC");
_Static_assert(sizeof(struct madt_lapic_nmi) == 6, "MADT local APIC NMI");
_Static_assert(sizeof(struct acpi_spcr) == 80, "SPCR");

#endif
