// SPDX-License-Identifier: MIT
/* crooked_acpi.c - lies about ACPI's tables, which are spoilt where they are */

#include "crooked.h"
#include "guest.h"

static void lie_no_rsdp(void)
{
	info.rsdp_paddr = 0;
}

static void lie_rsdp_sum(void)
{
	((uint8_t *)(uint32_t)info.rsdp_paddr)[9] ^= 1;
}

/* The first 20 bytes are good. */
static void lie_rsdp_sum_2(void)
{
	((uint8_t *)(uint32_t)info.rsdp_paddr)[33] ^= 1;
}

static void lie_rsdp_nowhere(void)
{
	info.rsdp_paddr = 0xd8000000;
}

static uint8_t *table(const char *name)
{
	return (uint8_t *)(uint32_t)acpi_table(name);
}

/* Make the sum good. */
static void mend(uint8_t *bytes)
{
	uint32_t size = *(const uint32_t *)(bytes + 4), sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum += bytes[i];
	bytes[9] = (uint8_t)(bytes[9] - sum);
}

/* No longer called what it was, and its sum good. */
static void rename(uint8_t *bytes)
{
	bytes[0]++;
	mend(bytes);
}

static uint8_t *xsdt(void)
{
	return *(uint8_t *const *)((const uint8_t *)(uint32_t)info.rsdp_paddr + 24);
}

static void lie_xsdt_sum(void)
{
	xsdt()[9]++;
}

static void lie_xsdt_name(void)
{
	rename(xsdt());
}

/* Larger than 1 MiB. */
static void lie_xsdt_size(void)
{
	xsdt()[7]++;
}

static void lie_xsdt_empty(void)
{
	xsdt()[4] = 36;
	mend(xsdt());
}

static void lie_table_sum(void)
{
	table("SPCR")[9]++;
}

/* Larger than 1 MiB. */
static void lie_table_size(void)
{
	table("SPCR")[7]++;
}

static void lie_dsdt(void)
{
	(*(uint8_t *const *)(table("FACP") + 140))[9]++;
}

static void lie_no_fadt(void)
{
	rename(table("FACP"));
}

/* None at all, on a machine that is not hardware-reduced. */
static void lie_no_facs(void)
{
	uint8_t *fadt = table("FACP");

	fadt[114] &= 0xef;
	mend(fadt);
}

static void lie_facs(void)
{
	uint8_t *fadt = table("FACP");

	*(uint32_t *)(fadt + 36) = (uint32_t)fadt;
	mend(fadt);
}

static void lie_no_madt(void)
{
	rename(table("APIC"));
}

/* The first entry's length. */
static void lie_madt_loop(void)
{
	uint8_t *madt = table("APIC");

	madt[45] = 0;
	mend(madt);
}

static void lie_madt_id(void)
{
	uint8_t *madt = table("APIC");

	madt[44 + 3] += 7;
	mend(madt);
}

/* No lie: an RSDP of ACPI 1.  The RSDT counts. */
static void lie_acpi_1(void)
{
	uint8_t *rsdp = (uint8_t *)(uint32_t)info.rsdp_paddr;

	rsdp[8] = (uint8_t)(rsdp[8] + rsdp[15]);
	rsdp[15] = 0;
}

const struct lie acpi_lies[] = { LIE(no_rsdp), LIE(rsdp_sum), LIE(rsdp_sum_2), LIE(rsdp_nowhere),
	LIE(xsdt_sum), LIE(xsdt_name), LIE(xsdt_size), LIE(xsdt_empty), LIE(table_sum),
	LIE(table_size), LIE(dsdt), LIE(no_fadt), LIE(no_facs), LIE(facs), LIE(no_madt),
	LIE(madt_loop), LIE(madt_id), LIE(acpi_1), { 0 } };
