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

static void spoil(const void *table, uint32_t at, uint8_t by)
{
	((uint8_t *)(uint32_t)table)[at] = (uint8_t)(((const uint8_t *)table)[at] + by);
}

/* Make the sum good. */
static void mend(void *table)
{
	uint8_t *bytes = table;
	uint32_t size = *(const uint32_t *)(bytes + 4), sum = 0;

	for (uint32_t i = 0; i < size; i++)
		sum += bytes[i];
	bytes[9] = (uint8_t)(bytes[9] - sum);
}

static const uint8_t *xsdt(void)
{
	return *(const uint8_t *const *)((const uint8_t *)(uint32_t)info.rsdp_paddr + 24);
}

static void lie_xsdt_sum(void)
{
	spoil(xsdt(), 9, 1);
}

static void lie_xsdt_name(void)
{
	spoil(xsdt(), 0, 1);
	spoil(xsdt(), 9, 0xff);
}

/* Larger than 1 MiB. */
static void lie_xsdt_size(void)
{
	spoil(xsdt(), 7, 1);
}

static void lie_xsdt_empty(void)
{
	uint8_t *list = (uint8_t *)(uint32_t)xsdt();

	list[4] = 36;
	mend(list);
}

static void lie_table_sum(void)
{
	spoil(acpi_table("SPCR"), 9, 1);
}

/* Larger than 1 MiB. */
static void lie_table_size(void)
{
	spoil(acpi_table("SPCR"), 7, 1);
}

static void lie_dsdt(void)
{
	spoil(*(const void *const *)((const uint8_t *)acpi_table("FACP") + 140), 9, 1);
}

static uint8_t *fadt(void)
{
	return (uint8_t *)(uint32_t)acpi_table("FACP");
}

static void lie_no_fadt(void)
{
	uint8_t *table = fadt();

	table[0]++;
	mend(table);
}

/* None at all, on a machine that is not hardware-reduced. */
static void lie_no_facs(void)
{
	uint8_t *table = fadt();

	table[114] &= 0xef;
	mend(table);
}

static void lie_facs(void)
{
	uint8_t *table = fadt();

	*(uint32_t *)(table + 36) = (uint32_t)table;
	mend(table);
}

static void lie_no_madt(void)
{
	uint8_t *madt = (uint8_t *)(uint32_t)acpi_table("APIC");

	madt[0]++;
	madt[9]--;
}

/* The first entry's length, and the sum made good. */
static void lie_madt_loop(void)
{
	uint8_t *madt = (uint8_t *)(uint32_t)acpi_table("APIC");

	madt[9] = (uint8_t)(madt[9] + madt[45]);
	madt[45] = 0;
}

static void lie_madt_id(void)
{
	spoil(acpi_table("APIC"), 44 + 3, 7);
	spoil(acpi_table("APIC"), 9, (uint8_t)-7);
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
