// SPDX-License-Identifier: GPL-2.0 OR MIT
/* acpi.c - the tables behind the RSDP, and the way out that they describe */

#include "check.h"

#define RSDP_SIZE_1 20u
#define RSDP_SIZE_2 36u
#define HEADER_SIZE 36u
#define MAX_TABLE   0x100000u
#define MAX_TABLES  64u

#define FADT_FACS      36u
#define FADT_DSDT      40u
#define FADT_PM1A_CNT  64u
#define FADT_FLAGS     112u
#define FADT_RESET     116u
#define FADT_RESET_VAL 128u
#define FADT_X_FACS    132u
#define FADT_X_DSDT    140u
#define FADT_SLEEP     244u

#define FLAG_RESET   (1u << 10)
#define FLAG_REDUCED (1u << 20)

#define MADT_ENTRIES 44u
#define MADT_LAPIC   0
#define MADT_X2APIC  9
#define MADT_ENABLED 1u

/* Tables that can be read whole, and how many could not. */
static const uint8_t *tables[MAX_TABLES];
static uint32_t n_tables, n_unreadable;

static uint32_t table_size(const uint8_t *table)
{
	return load32(table + 4);
}

/* The table at addr if its header and its size can be believed. */
static const uint8_t *table_at(uint64_t addr)
{
	const uint8_t *table = at(addr, HEADER_SIZE);

	if (!table || table_size(table) < HEADER_SIZE || table_size(table) > MAX_TABLE)
		return NULL;
	return at(addr, table_size(table));
}

/* A version 1 RSDP has 20 bytes; more of them can be read, since no address below 4 GiB faults. */
static const uint8_t *rsdp(void)
{
	return at(handover.info.rsdp_paddr, RSDP_SIZE_2);
}

static bool rsdp_good(void)
{
	const uint8_t *root = rsdp();

	return root && bytes_equal(root, "RSD PTR ", 8) && !byte_sum(root, RSDP_SIZE_1) &&
	       (root[15] < 2 || !byte_sum(root, RSDP_SIZE_2));
}

/* There is an XSDT; else there should be an RSDT. */
static bool has_xsdt(void)
{
	return rsdp()[15] >= 2 && load64(rsdp() + 24);
}

static const uint8_t *list_table(void)
{
	return table_at(has_xsdt() ? load64(rsdp() + 24) : load32(rsdp() + 16));
}

/* What it points at can be looked at, whatever its name is. */
static bool list_usable(void)
{
	const uint8_t *list = rsdp_good() ? list_table() : NULL;

	return list && !byte_sum(list, table_size(list));
}

static void collect_tables(void)
{
	const uint8_t *list = list_table();
	uint32_t step = has_xsdt() ? 8 : 4;

	n_tables = n_unreadable = 0;
	for (uint32_t i = HEADER_SIZE; i + step <= table_size(list); i += step) {
		const uint8_t *table = table_at(step == 8 ? load64(list + i) : load32(list + i));

		if (!table || n_tables == MAX_TABLES)
			n_unreadable++;
		else
			tables[n_tables++] = table;
	}
}

const uint8_t *acpi_table(const char *signature)
{
	if (!handover.found || !list_usable())
		return NULL;
	collect_tables();
	for (uint32_t i = 0; i < n_tables; i++)
		if (bytes_equal(tables[i], signature, 4))
			return tables[i];
	return NULL;
}

/* The address in the 64-bit field if it has one, else in the 32-bit field. */
static uint64_t fadt_address(const uint8_t *fadt, uint32_t narrow, uint32_t wide)
{
	if (table_size(fadt) >= wide + 8 && load64(fadt + wide))
		return load64(fadt + wide);
	return table_size(fadt) >= narrow + 4 ? load32(fadt + narrow) : 0;
}

static uint32_t fadt_flags(const uint8_t *fadt)
{
	return table_size(fadt) >= FADT_FLAGS + 4 ? load32(fadt + FADT_FLAGS) : 0;
}

static const uint8_t *dsdt(void)
{
	const uint8_t *fadt = acpi_table("FACP");

	return fadt ? table_at(fadt_address(fadt, FADT_DSDT, FADT_X_DSDT)) : NULL;
}

/* ---- what the checks need ---- */

static const char *lacks_rsdp(void)
{
	return handover.found && handover.info.rsdp_paddr ? NULL : "there is no RSDP";
}

static const char *lacks_list(void)
{
	return handover.found && rsdp_good() ? NULL : "there is no good RSDP";
}

static const char *lacks_tables(void)
{
	return handover.found && list_usable() ? NULL : "there is no XSDT or RSDT with a good sum";
}

static const char *lacks_madt(void)
{
	return acpi_table("APIC") ? NULL : "there is no MADT";
}

/* ---- checks ---- */

static enum verdict rsdp_there(void)
{
	return verdict(handover.info.rsdp_paddr, "rsdp_paddr is 0");
}

static enum verdict rsdp_check(void)
{
	const uint8_t *root = rsdp();

	if (!root || !bytes_equal(root, "RSD PTR ", 8)) {
		detail("no RSDP at %llx", handover.info.rsdp_paddr);
		return FAIL;
	}
	detail("revision %u; the sum of %u bytes is %x, of %u bytes %x", (uint32_t)root[15],
		RSDP_SIZE_1, (uint32_t)byte_sum(root, RSDP_SIZE_1), RSDP_SIZE_2,
		(uint32_t)byte_sum(root, RSDP_SIZE_2));
	return rsdp_good() ? PASS : FAIL;
}

static bool is_text(const uint8_t *bytes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (bytes[i] < ' ' || bytes[i] > '~')
			return false;
	return true;
}

static void detail_table(const uint8_t *table)
{
	if (is_text(table, 4))
		detail("%c%c%c%c", table[0], table[1], table[2], table[3]);
	else
		detail("signature %x", load32(table));
	detail(" at %x, %u bytes, whose sum is %x", (uint32_t)table, table_size(table),
		(uint32_t)byte_sum(table, table_size(table)));
}

static enum verdict list_check(void)
{
	const uint8_t *list = list_table();

	if (!list) {
		detail("no table at RSDT %x, XSDT %llx", load32(rsdp() + 16),
			has_xsdt() ? load64(rsdp() + 24) : 0);
		return FAIL;
	}
	detail_table(list);
	return list_usable() && bytes_equal(list, has_xsdt() ? "XSDT" : "RSDT", 4) ? PASS : FAIL;
}

static enum verdict tables_check(void)
{
	collect_tables();
	if (n_unreadable || !n_tables) {
		detail("%u of %u tables have no size, or are not below 4 GiB", n_unreadable,
			n_unreadable + n_tables);
		return FAIL;
	}
	for (uint32_t i = 0; i < n_tables; i++)
		if (byte_sum(tables[i], table_size(tables[i]))) {
			detail_table(tables[i]);
			return FAIL;
		}
	return PASS;
}

static enum verdict tables_kept(void)
{
	collect_tables();
	for (uint32_t i = 0; i < n_tables; i++)
		if (touches_ram((uint32_t)tables[i], table_size(tables[i]))) {
			detail_table(tables[i]);
			return FAIL;
		}
	return PASS;
}

static enum verdict fadt_check(void)
{
	const uint8_t *fadt = acpi_table("FACP"), *table = dsdt();
	uint64_t facs;

	if (!fadt)
		return fail("there is no FADT");
	if (!table || !bytes_equal(table, "DSDT", 4) || byte_sum(table, table_size(table)))
		return fail("no DSDT with a good sum where the FADT points");
	facs = fadt_address(fadt, FADT_FACS, FADT_X_FACS);
	if (!facs)
		return verdict(fadt_flags(fadt) & FLAG_REDUCED, "there is no FACS");
	detail("FACS at %llx", facs);
	return at(facs, 64) && bytes_equal(at(facs, 64), "FACS", 4) ? PASS : FAIL;
}

static enum verdict madt_there(void)
{
	return verdict(acpi_table("APIC"), "there is no MADT");
}

/* The identity of the processor that we run on. */
static uint32_t apic_id(void)
{
	return cpuid(1).ebx >> 24;
}

/* Whether a MADT entry is of an enabled processor, and which. */
static bool processor_entry(const uint8_t *entry, uint32_t *id)
{
	if (entry[0] == MADT_LAPIC && entry[1] >= 8) {
		*id = entry[3];
		return entry[4] & MADT_ENABLED;
	}
	if (entry[0] == MADT_X2APIC && entry[1] >= 16) {
		*id = load32(entry + 4);
		return entry[8] & MADT_ENABLED;
	}
	return false;
}

static enum verdict madt_check(void)
{
	const uint8_t *madt = acpi_table("APIC");
	uint32_t size = table_size(madt), n = 0, id;
	bool found = false;

	for (uint32_t i = MADT_ENTRIES; i < size; i += madt[i + 1]) {
		if (size - i < 2 || madt[i + 1] < 2 || madt[i + 1] > size - i) {
			detail("the entry at %u has no sound length", i);
			return FAIL;
		}
		if (processor_entry(madt + i, &id)) {
			n++;
			found |= id == apic_id();
		}
	}
	detail("%u processors, of which %s has APIC ID %u", n, found ? "one" : "none", apic_id());
	return found ? PASS : FAIL;
}

static const struct check rows[] = {
	{ "ACPI: there is an RSDP", PVH_HARDWARE, "Linux searches the BIOS areas otherwise",
		lacks_start_info, rsdp_there },
	{ "ACPI: RSDP has signature and sums", ACPI_RSDP, NULL, lacks_rsdp, rsdp_check },
	{ "ACPI: XSDT or RSDT has signature and sum", ACPI_TABLE, NULL, lacks_list, list_check },
	{ "ACPI: every table has a size and its sum, below 4 GiB", ACPI_TABLE, NULL, lacks_tables,
		tables_check },
	{ "ACPI: no table is in what the map calls RAM", NULL,
		"kernels that use RAM before they have read the tables", lacks_tables,
		tables_kept },
	{ "ACPI: FADT leads to DSDT, and to FACS if any", ACPI_TABLE, NULL, lacks_tables,
		fadt_check },
	{ "ACPI: there is a MADT", NULL, "Linux finds one processor and no I/O APIC otherwise",
		lacks_tables, madt_there },
	{ "ACPI: MADT's entries are sound, and one is this processor", ACPI_MADT, NULL, lacks_madt,
		madt_check },
};

const struct checks acpi_checks = CHECKS(rows);

/* ---- the way out ---- */

/* A generic address: 12 bytes, the space in the first (0 memory, 1 ports), the address from 4 on.
 */
static bool register_write(const uint8_t *address, uint8_t value)
{
	uint64_t where = load64(address + 4);

	if (address[0] == 1)
		outb((uint16_t)where, value);
	else if (address[0] == 0 && at(where, 1))
		*(volatile uint8_t *)(uint32_t)where = value;
	else
		return false;
	return true;
}

/* The FADT if it can be trusted and has a field that ends there. */
static const uint8_t *good_fadt(uint32_t end)
{
	const uint8_t *fadt = acpi_table("FACP");

	return fadt && !byte_sum(fadt, table_size(fadt)) && table_size(fadt) >= end ? fadt : NULL;
}

/* \_S5's first number, searched for instead of interpreted: NAME _S5_ PACKAGE, length of one byte,
 * number of elements, a byte constant, or 0 or 1.  Less than 0: not found.
 */
static int sleep_type(void)
{
	const uint8_t *aml = dsdt();

	for (uint32_t i = HEADER_SIZE; aml && i + 9 <= table_size(aml); i++)
		if (bytes_equal(aml + i, "_S5_\x12", 5))
			return aml[i + 7] == 0x0a ? aml[i + 8] & 7 : aml[i + 7] & 7;
	return -1;
}

bool acpi_power_off(void)
{
	const uint8_t *fadt = good_fadt(FADT_FLAGS + 4);
	int type = sleep_type();

	if (!fadt || type < 0)
		return false;
	if (fadt_flags(fadt) & FLAG_REDUCED)
		return good_fadt(FADT_SLEEP + 12) &&
		       register_write(fadt + FADT_SLEEP, (uint8_t)(type << 2 | 0x20));
	outw((uint16_t)load32(fadt + FADT_PM1A_CNT), (uint16_t)(type << 10 | 1 << 13));
	return load32(fadt + FADT_PM1A_CNT);
}

bool acpi_reset(void)
{
	const uint8_t *fadt = good_fadt(FADT_RESET_VAL + 1);

	return fadt && (fadt_flags(fadt) & FLAG_RESET) &&
	       register_write(fadt + FADT_RESET, fadt[FADT_RESET_VAL]);
}
