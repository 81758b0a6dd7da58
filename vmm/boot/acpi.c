// SPDX-License-Identifier: MIT
/* acpi.c - the ACPI tables: hardware-reduced ACPI 6.4 */

#include "boot/acpi.h"
#include "boot/acpi_spec.h"
#include "boot/aml.h"
#include "boot/checksum.h"
#include "boot/dsdt.h"
#include "boot/layout.h"
#include "bus/platform.h"

#include <errno.h>
#include <string.h>

#define TABLE_ALIGN 16u
#define MAX_APIC_ID 254u /* 255 is the broadcast id; beyond, x2APIC entries would be needed */

/* Tables are made one after the other in the area's host memory. */
struct builder {
	uint8_t *area;
	size_t size; /* used */
	struct acpi_tables *tables;
	bool overflow;
};

/* Room for `size` zero bytes; NULL if the area is full. */
static void *builder_alloc(struct builder *b, size_t size)
{
	size_t at = ALIGN_UP(b->size, TABLE_ALIGN);

	if (b->overflow || !range_within(at, size, 0, LAYOUT_ACPI_SIZE)) {
		b->overflow = true;
		return NULL;
	}
	b->size = at + size;
	return memset(b->area + at, 0, size);
}

/* Fill in the header of a table that is otherwise complete and note its place. */
static gpa_t builder_finish(struct builder *b, struct acpi_header *header, const char *signature,
	uint8_t revision, size_t size)
{
	struct acpi_table_ref *ref;
	gpa_t gpa = LAYOUT_ACPI + (gpa_t)((uint8_t *)header - b->area);

	memcpy(header->signature, signature, sizeof(header->signature));
	header->length = (uint32_t)size;
	header->revision = revision;
	memcpy(header->oem_id, "PRONTO", sizeof(header->oem_id));
	memcpy(header->oem_table_id, "PRONTOVM", sizeof(header->oem_table_id));
	header->oem_revision = 1;
	memcpy(header->creator_id, "PRNT", sizeof(header->creator_id));
	header->creator_revision = 1;
	header->checksum = checksum(header, size);

	BUG_ON(b->tables->n_tables == ACPI_MAX_TABLES);
	ref = &b->tables->table[b->tables->n_tables++];
	memcpy(ref->signature, signature, sizeof(header->signature));
	ref->gpa = gpa;
	ref->size = (uint32_t)size;
	return gpa;
}

/* No table, but with them it is where no guest has anything else. */
static gpa_t place_vmgenid(struct builder *b)
{
	const uint8_t *at = builder_alloc(b, ACPI_VMGENID_SIZE);

	return at ? LAYOUT_ACPI + (gpa_t)(at - b->area) : 0;
}

static struct acpi_gas io_byte_register(uint16_t port)
{
	return (struct acpi_gas){
		.space = ACPI_SPACE_IO,
		.bit_width = 8,
		.access_size = ACPI_ACCESS_BYTE,
		.address = port,
	};
}

static gpa_t build_dsdt(struct builder *b, const struct acpi_config *config)
{
	struct acpi_header *header = builder_alloc(b, sizeof(*header));
	struct aml aml;

	if (!header)
		return 0;
	aml_init(&aml, b->area + b->size, LAYOUT_ACPI_SIZE - b->size);
	dsdt_build(&aml, config, b->tables->vmgenid);
	if (!aml_ok(&aml)) {
		b->overflow = true;
		return 0;
	}
	b->size += aml.size;
	return builder_finish(b, header, "DSDT", 2, sizeof(*header) + aml.size);
}

/* ACPI 6.4, 5.2.9.  No FACS: a hardware-reduced machine without S4 needs none.  X_DSDT alone, so
 * that there are no two addresses to compare.
 */
static gpa_t build_fadt(struct builder *b, gpa_t dsdt)
{
	struct acpi_fadt *fadt = builder_alloc(b, sizeof(*fadt));

	if (!fadt)
		return 0;
	fadt->boot_arch = FADT_BOOT_VGA_NOT_PRESENT | FADT_BOOT_NO_CMOS_RTC;
	fadt->flags = FADT_FLAG_HW_REDUCED | FADT_FLAG_RESET_REG | FADT_FLAG_WBINVD |
	              FADT_FLAG_PWR_BUTTON | FADT_FLAG_SLP_BUTTON;
	fadt->reset_reg = io_byte_register(PLATFORM_PM_RESET);
	fadt->reset_value = PLATFORM_PM_RESET_VALUE;
	fadt->minor_version = 4;
	fadt->x_dsdt = dsdt;
	fadt->sleep_control = io_byte_register(PLATFORM_PM_SLEEP_CTL);
	fadt->sleep_status = io_byte_register(PLATFORM_PM_SLEEP_STATUS);
	memcpy(&fadt->hypervisor_vendor, "PRONTO", 6);
	return builder_finish(b, &fadt->header, "FACP", 6, sizeof(*fadt));
}

/* ACPI 6.4, 5.2.12.  No interrupt source overrides: they describe ISA interrupts, and each
 * interrupt here says its own trigger and polarity in the DSDT.
 */
static gpa_t build_madt(struct builder *b, uint32_t n_cpus)
{
	size_t size = sizeof(struct acpi_madt) + n_cpus * sizeof(struct madt_lapic) +
	              sizeof(struct madt_ioapic) + sizeof(struct madt_lapic_nmi);
	struct acpi_madt *madt = builder_alloc(b, size);
	struct madt_lapic_nmi *nmi;
	struct madt_ioapic *ioapic;
	struct madt_lapic *lapic;

	if (!madt)
		return 0;
	madt->lapic = PLATFORM_LAPIC_BASE;
	lapic = (struct madt_lapic *)(madt + 1);
	for (uint32_t i = 0; i < n_cpus; i++)
		*lapic++ = (struct madt_lapic){
			.type = 0,
			.length = sizeof(*lapic),
			.processor_uid = (uint8_t)i,
			.apic_id = (uint8_t)i,
			.flags = 1,
		};
	ioapic = (struct madt_ioapic *)lapic;
	*ioapic = (struct madt_ioapic){
		.type = 1,
		.length = sizeof(*ioapic),
		.address = PLATFORM_IOAPIC_BASE,
	};
	nmi = (struct madt_lapic_nmi *)(ioapic + 1);
	*nmi = (struct madt_lapic_nmi){
		.type = 4,
		.length = sizeof(*nmi),
		.processor_uid = 0xff,
		.lint = 1,
	};
	return builder_finish(b, &madt->header, "APIC", 5, size);
}

static gpa_t build_spcr(struct builder *b)
{
	struct acpi_spcr *spcr = builder_alloc(b, sizeof(*spcr));

	if (!spcr)
		return 0;
	spcr->base = io_byte_register(PLATFORM_SERIAL_PORT);
	spcr->interrupt_type = 1u << 1;
	spcr->gsi = PLATFORM_SERIAL_GSI;
	spcr->baud_rate = 7;
	spcr->stop_bits = 1;
	spcr->terminal_type = 3;
	spcr->pci_device = 0xffff;
	spcr->pci_vendor = 0xffff;
	return builder_finish(b, &spcr->header, "SPCR", 2, sizeof(*spcr));
}

static gpa_t build_mcfg(struct builder *b)
{
	struct acpi_mcfg *mcfg = builder_alloc(b, sizeof(*mcfg));

	if (!mcfg)
		return 0;
	mcfg->base = PLATFORM_ECAM_BASE;
	return builder_finish(b, &mcfg->header, "MCFG", 1, sizeof(*mcfg));
}

/* All tables but the DSDT, which the FADT points at; and once more by addresses of 32 bits, for
 * guests of ACPI 1.0 (NuttX).  Who reads revision 2 of the RSDP takes the XSDT.
 */
static gpa_t build_rsdt(struct builder *b, const gpa_t *tables, size_t n_tables)
{
	size_t size = sizeof(struct acpi_header) + n_tables * sizeof(uint32_t);
	struct acpi_header *rsdt = builder_alloc(b, size);

	if (!rsdt)
		return 0;
	for (size_t i = 0; i < n_tables; i++) {
		uint32_t table = (uint32_t)tables[i];

		memcpy((uint8_t *)(rsdt + 1) + i * sizeof(table), &table, sizeof(table));
	}
	return builder_finish(b, rsdt, "RSDT", 1, size);
}

static gpa_t build_xsdt(struct builder *b, const gpa_t *tables, size_t n_tables)
{
	size_t size = sizeof(struct acpi_header) + n_tables * sizeof(*tables);
	struct acpi_header *xsdt = builder_alloc(b, size);

	if (!xsdt)
		return 0;
	memcpy(xsdt + 1, tables, n_tables * sizeof(*tables));
	return builder_finish(b, xsdt, "XSDT", 1, size);
}

/* ACPI 6.4, 5.2.5.3 */
static void finish_rsdp(struct acpi_rsdp *rsdp, gpa_t rsdt, gpa_t xsdt)
{
	memcpy(rsdp->signature, "RSD PTR ", sizeof(rsdp->signature));
	memcpy(rsdp->oem_id, "PRONTO", sizeof(rsdp->oem_id));
	rsdp->revision = 2;
	rsdp->length = sizeof(*rsdp);
	rsdp->rsdt = (uint32_t)rsdt;
	rsdp->xsdt = xsdt;
	rsdp->checksum = checksum(rsdp, 20);
	rsdp->extended_checksum = checksum(rsdp, sizeof(*rsdp));
}

int acpi_build(
	const struct guest_mem *mem, const struct acpi_config *config, struct acpi_tables *tables)
{
	struct builder b = {
		.area = guest_mem_at(mem, LAYOUT_ACPI, LAYOUT_ACPI_SIZE),
		.tables = tables,
	};
	struct acpi_rsdp *rsdp;
	gpa_t dsdt, root[4], rsdt, xsdt;
	size_t n = 0;

	BUG_ON(config->n_virtio_slots > PLATFORM_VIRTIO_SLOTS);
	memset(tables, 0, sizeof(*tables));
	if (!b.area || config->n_cpus > MAX_APIC_ID + 1)
		return -ENOSPC;
	rsdp = builder_alloc(&b, sizeof(*rsdp));
	tables->vmgenid = place_vmgenid(&b);
	dsdt = build_dsdt(&b, config);
	root[n++] = build_fadt(&b, dsdt);
	root[n++] = build_madt(&b, config->n_cpus);
	root[n++] = build_spcr(&b);
	if (config->has_pci)
		root[n++] = build_mcfg(&b);
	rsdt = build_rsdt(&b, root, n);
	xsdt = build_xsdt(&b, root, n);
	if (b.overflow)
		return -ENOSPC;
	finish_rsdp(rsdp, rsdt, xsdt);
	tables->rsdp = LAYOUT_ACPI;
	tables->rsdp_size = sizeof(*rsdp);
	tables->end = LAYOUT_ACPI + b.size;
	return 0;
}
