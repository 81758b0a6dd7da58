// SPDX-License-Identifier: MIT
/* mptable.c - the MP table: processors and interrupts for guests that read no ACPI */

#include "boot/mptable.h"
#include "boot/checksum.h"
#include "bus/platform.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define MP_REVISION   4     /* 1.4 */
#define LAPIC_VERSION 0x14u /* as KVM's say */
#define ALL_LAPICS    0xffu

/* Kinds of entries, 4.3, and of interrupts, table 4-11 */
enum { ENTRY_CPU, ENTRY_BUS, ENTRY_IOAPIC, ENTRY_IO_INTERRUPT, ENTRY_LOCAL_INTERRUPT };
enum { INTERRUPT_VECTORED, INTERRUPT_NMI, INTERRUPT_SMI, INTERRUPT_EXTINT };

#define CPU_ENABLED      1u
#define CPU_BOOT         2u
#define CPU_SIGNATURE    0x600u /* family 6; CPUID says more */
#define CPU_FEATURES     0x201u /* FPU, APIC */
#define IOAPIC_ENABLED   1u
#define IOAPIC_VERSION   0x11u
#define EDGE_ACTIVE_HIGH 0x5u

struct mp_pointer {
	char signature[4]; /* "_MP_" */
	uint32_t table;
	uint8_t length; /* in units of 16 bytes */
	uint8_t revision;
	uint8_t checksum;
	uint8_t default_configuration; /* 0: there is a table */
	uint8_t features[4];           /* 0: virtual wire mode, no PIC */
};

struct mp_table {
	char signature[4]; /* "PCMP" */
	uint16_t length;   /* with the entries that follow */
	uint8_t revision;
	uint8_t checksum;
	char oem[8];
	char product[12];
	uint32_t oem_table;
	uint16_t oem_table_size;
	uint16_t n_entries;
	uint32_t lapic;
	uint16_t extended_length;
	uint8_t extended_checksum;
	uint8_t reserved;
};

struct mp_cpu {
	uint8_t type;
	uint8_t lapic_id;
	uint8_t lapic_version;
	uint8_t flags;
	uint32_t signature;
	uint32_t features;
	uint32_t reserved[2];
};

struct mp_bus {
	uint8_t type;
	uint8_t id;
	char name[6];
};

struct mp_ioapic {
	uint8_t type;
	uint8_t id;
	uint8_t version;
	uint8_t flags;
	uint32_t address;
};

/* Of the I/O APIC's inputs and of the local ones. */
struct mp_interrupt {
	uint8_t type;
	uint8_t kind;
	uint16_t flags; /* 0: as the bus has it */
	uint8_t bus;
	uint8_t bus_irq;
	uint8_t apic_id;
	uint8_t input;
};

/* What follows the processors. */
struct mp_rest {
	struct mp_bus isa;
	struct mp_ioapic ioapic;
	struct mp_interrupt serial;
	struct mp_interrupt extint, nmi;
};

_Static_assert(sizeof(struct mp_pointer) == 16, "MP floating pointer");
_Static_assert(sizeof(struct mp_table) == 44, "MP table header");
_Static_assert(sizeof(struct mp_cpu) == 20, "MP processor");
_Static_assert(sizeof(struct mp_bus) == 8, "MP bus");
_Static_assert(sizeof(struct mp_ioapic) == 8, "MP I/O APIC");
_Static_assert(sizeof(struct mp_interrupt) == 8, "MP interrupt");

/* The one bus is ISA; its serial port has IRQ 4, as guests know without looking. */
static const struct mp_rest rest = {
	.isa = { .type = ENTRY_BUS, .name = { 'I', 'S', 'A', ' ', ' ', ' ' } },
	.ioapic = {
		.type = ENTRY_IOAPIC,
		.version = IOAPIC_VERSION,
		.flags = IOAPIC_ENABLED,
		.address = PLATFORM_IOAPIC_BASE,
	},
	.serial = {
		.type = ENTRY_IO_INTERRUPT,
		.kind = INTERRUPT_VECTORED,
		.flags = EDGE_ACTIVE_HIGH,
		.bus_irq = PLATFORM_SERIAL_ISA_IRQ,
		.input = PLATFORM_SERIAL_GSI,
	},
	.extint = {
		.type = ENTRY_LOCAL_INTERRUPT,
		.kind = INTERRUPT_EXTINT,
		.apic_id = ALL_LAPICS,
		.input = 0,
	},
	.nmi = {
		.type = ENTRY_LOCAL_INTERRUPT,
		.kind = INTERRUPT_NMI,
		.apic_id = ALL_LAPICS,
		.input = 1,
	},
};

int mptable_build(const struct guest_mem *mem, gpa_t gpa, uint64_t size, uint32_t n_cpus)
{
	size_t length = sizeof(struct mp_table) + n_cpus * sizeof(struct mp_cpu) + sizeof(rest);
	struct mp_pointer *pointer;
	struct mp_table *table;
	struct mp_cpu *cpu;

	BUG_ON(gpa % sizeof(*pointer));
	if (n_cpus > UINT8_MAX || sizeof(*pointer) + length > size)
		return -ENOSPC;
	pointer = guest_mem_at(mem, gpa, sizeof(*pointer) + length);
	if (!pointer)
		return -ENOSPC;
	table = (struct mp_table *)(pointer + 1);
	*table = (struct mp_table){
		.signature = { 'P', 'C', 'M', 'P' },
		.length = (uint16_t)length,
		.revision = MP_REVISION,
		.oem = { 'P', 'R', 'O', 'N', 'T', 'O', ' ', ' ' },
		.product = { 'P', 'R', 'O', 'N', 'T', 'O', 'V', 'M', ' ', ' ', ' ', ' ' },
		.n_entries = (uint16_t)(n_cpus + 5),
		.lapic = PLATFORM_LAPIC_BASE,
	};
	cpu = (struct mp_cpu *)(table + 1);
	for (uint32_t i = 0; i < n_cpus; i++)
		*cpu++ = (struct mp_cpu){
			.type = ENTRY_CPU,
			.lapic_id = (uint8_t)i,
			.lapic_version = LAPIC_VERSION,
			.flags = i ? CPU_ENABLED : CPU_ENABLED | CPU_BOOT,
			.signature = CPU_SIGNATURE,
			.features = CPU_FEATURES,
		};
	memcpy(cpu, &rest, sizeof(rest));
	table->checksum = checksum(table, length);
	*pointer = (struct mp_pointer){
		.signature = { '_', 'M', 'P', '_' },
		.table = (uint32_t)(gpa + sizeof(*pointer)),
		.length = 1,
		.revision = MP_REVISION,
	};
	pointer->checksum = checksum(pointer, sizeof(*pointer));
	return (int)(sizeof(*pointer) + length);
}
