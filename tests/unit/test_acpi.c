// SPDX-License-Identifier: MIT
/* test_acpi.c - the AML encoder, and the tables as a guest would read them */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/acpi.h"
#include "boot/aml.h"
#include "boot/layout.h"
#include "bus/platform.h"

#include <errno.h>
#include <string.h>

/* ---- the encoder: expected bytes are those of ACPI 6.4, chapter 20 and 6.4 ---- */

static uint8_t out[0x12000];

static struct aml start(void)
{
	struct aml aml;

	memset(out, 0xee, sizeof(out));
	aml_init(&aml, out, sizeof(out));
	return aml;
}

#define assert_aml(aml, ...)                                         \
	do {                                                         \
		static const uint8_t want[] = { __VA_ARGS__ };       \
		assert_true(aml_ok(&(aml)));                         \
		assert_int_equal((aml).size, sizeof(want));          \
		assert_memory_equal((aml).data, want, sizeof(want)); \
	} while (0)

static void test_integers(void **state)
{
	struct aml aml = start();

	aml_integer(&aml, 0);
	aml_integer(&aml, 1);
	aml_integer(&aml, 2);
	aml_integer(&aml, 0x100);
	aml_integer(&aml, 0x12345);
	aml_integer(&aml, 0x100000000);
	assert_aml(aml, 0x00, 0x01, 0x0a, 0x02, 0x0b, 0x00, 0x01, 0x0c, 0x45, 0x23, 0x01, 0x00,
		0x0e, 0, 0, 0, 0, 1, 0, 0, 0);
}

static void test_paths(void **state)
{
	struct aml aml = start();

	aml_path(&aml, "_SB");
	aml_path(&aml, "\\_SB.GED");
	aml_path(&aml, "\\A.B.C");
	assert_aml(aml, '_', 'S', 'B', '_', '\\', 0x2e, '_', 'S', 'B', '_', 'G', 'E', 'D', '_',
		'\\', 0x2f, 3, 'A', '_', '_', '_', 'B', '_', '_', '_', 'C', '_', '_', '_');
}

static void test_ids_and_strings(void **state)
{
	struct aml aml = start();

	aml_eisa_id(&aml, "PNP0C0C");
	aml_eisa_id(&aml, "PNP0501");
	aml_string(&aml, "AB");
	assert_aml(
		aml, 0x0c, 0x41, 0xd0, 0x0c, 0x0c, 0x0c, 0x41, 0xd0, 0x05, 0x01, 0x0d, 'A', 'B', 0);
}

/* The length of a term counts its own one to four bytes. */
static void test_lengths(void **state)
{
	static const struct {
		size_t n_filler; /* zero bytes in a package, after its count of elements */
		uint8_t head[5];
	} row[] = {
		{ 0, { 0x12, 0x02 } },
		{ 61, { 0x12, 0x3f } },
		{ 62, { 0x12, 0x41, 0x04 } },
		{ 4092, { 0x12, 0x4f, 0xff } },
		{ 4093, { 0x12, 0x81, 0x00, 0x01 } },
		{ 0x11000, { 0x12, 0x84, 0x00, 0x11 } },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct aml aml = start();
		size_t head = row[i].n_filler < 62 ? 2 : row[i].n_filler < 4093 ? 3 : 4;
		aml_mark mark = aml_open_package(&aml, 7);

		for (size_t k = 0; k < row[i].n_filler; k++)
			aml_integer(&aml, 0);
		aml_close(&aml, mark);
		assert_true(aml_ok(&aml));
		assert_int_equal(aml.size, head + 1 + row[i].n_filler);
		assert_memory_equal(out, row[i].head, head);
		assert_int_equal(out[head], 7);
		assert_int_equal(out[aml.size], 0xee);
	}
}

static void test_nesting(void **state)
{
	struct aml aml = start();
	aml_mark scope = aml_open_scope(&aml, "_SB");
	aml_mark device = aml_open_device(&aml, "DEV");
	aml_mark method = aml_open_method(&aml, "_EVT", 1);
	aml_mark cond = aml_open_if(&aml);

	aml_and_local(&aml, 7, 1);
	aml_notify(&aml, "PWRB", 0x80);
	aml_close(&aml, cond);
	aml_close(&aml, method);
	aml_close(&aml, device);
	aml_close(&aml, scope);
	assert_aml(aml, 0x10, 0x20, '_', 'S', 'B', '_', 0x5b, 0x82, 0x19, 'D', 'E', 'V', '_', 0x14,
		0x13, '_', 'E', 'V', 'T', 1, 0xa0, 0x0c, 0x7b, 0x67, 0x01, 0x00, 0x86, 'P', 'W',
		'R', 'B', 0x0a, 0x80);
}

static void test_field(void **state)
{
	struct aml aml = start();

	aml_io_byte_field(&aml, "EVTR", "EVTS", 0x604);
	assert_aml(aml, 0x5b, 0x80, 'E', 'V', 'T', 'R', 0x01, 0x0b, 0x04, 0x06, 0x01, 0x5b, 0x81,
		0x0b, 'E', 'V', 'T', 'R', 0x01, 'E', 'V', 'T', 'S', 8);
}

static void test_locals(void **state)
{
	struct aml aml = start();

	aml_store_local(&aml, "EVTS", 0);
	aml_store_local(&aml, "\\A.B", 7);
	assert_aml(aml, 0x70, 'E', 'V', 'T', 'S', 0x60, 0x70, '\\', 0x2e, 'A', '_', '_', '_', 'B',
		'_', '_', '_', 0x67);
}

static void test_resources(void **state)
{
	struct aml aml = start();
	aml_mark mark = aml_open_resources(&aml);

	aml_resource_io(&aml, 0x3f8, 8);
	aml_resource_memory32(&aml, 0xd0001000, 0x1000);
	aml_resource_interrupt(&aml, 9);
	aml_close_resources(&aml, mark);
	assert_aml(aml, 0x11, 0x22, 0x0a, 0x1f, 0x47, 0x01, 0xf8, 0x03, 0xf8, 0x03, 0x01, 0x08,
		0x86, 0x09, 0x00, 0x01, 0x00, 0x10, 0x00, 0xd0, 0x00, 0x10, 0x00, 0x00, 0x89, 0x06,
		0x00, 0x03, 0x01, 0x09, 0x00, 0x00, 0x00, 0x79, 0x00);
}

static void test_windows(void **state)
{
	struct aml aml = start();

	aml_resource_buses(&aml, 0, 1);
	aml_resource_window32(&aml, 0xc0000000, 0x38000000);
	aml_return_arg(&aml, 3);
	assert_aml(aml, 0x88, 0x0d, 0x00, 0x02, 0x0c, 0x00, 0, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0x87,
		0x17, 0x00, 0x00, 0x0c, 0x01, 0, 0, 0, 0, 0, 0, 0, 0xc0, 0xff, 0xff, 0xff, 0xf7, 0,
		0, 0, 0, 0, 0, 0, 0x38, 0xa4, 0x6b);
}

/* Whatever the room, nothing is written behind it and the lack is told. */
static void test_no_room(void **state)
{
	for (size_t room = 0; room < 40; room++) {
		struct aml aml = start();
		aml_mark device, resources;

		aml_init(&aml, out, room);
		device = aml_open_device(&aml, "DEV");
		aml_name(&aml, "_CRS");
		resources = aml_open_resources(&aml);
		aml_resource_io(&aml, 0x3f8, 8);
		aml_resource_interrupt(&aml, 9);
		aml_close_resources(&aml, resources);
		aml_close(&aml, device);
		assert_int_equal(aml_ok(&aml), room >= 35);
		assert_int_equal(out[room], 0xee);
	}
}

/* ---- the tables, read as a guest reads them: from the RSDP on, by offset ---- */

static struct guest_mem mem;
static struct acpi_tables tables;

static int build_config(const struct acpi_config *config)
{
	guest_mem_fini(&mem);
	assert_int_equal(guest_mem_init(&mem, MIB(2)), 0);
	return acpi_build(&mem, config, &tables);
}

static int build(uint32_t n_cpus, uint32_t n_slots)
{
	struct acpi_config config = { .n_cpus = n_cpus, .n_virtio_slots = n_slots };

	return build_config(&config);
}

static const uint8_t *at(gpa_t gpa, uint64_t size)
{
	const uint8_t *hva = guest_mem_at(&mem, gpa, size);

	assert_true(range_within(gpa, size, LAYOUT_ACPI, LAYOUT_ACPI_SIZE));
	assert_non_null(hva);
	return hva;
}

static uint64_t le(const uint8_t *p, size_t size)
{
	uint64_t value = 0;

	while (size--)
		value = value << 8 | p[size];
	return value;
}

static uint8_t sum(const uint8_t *p, size_t size)
{
	uint8_t total = 0;

	while (size--)
		total = (uint8_t)(total + *p++);
	return total;
}

static const uint8_t *table_at(gpa_t gpa, const char *signature)
{
	uint32_t size = (uint32_t)le(at(gpa, 36) + 4, 4);
	const uint8_t *t = at(gpa, size);

	assert_memory_equal(t, signature, 4);
	assert_int_equal(sum(t, size), 0);
	assert_memory_equal(t + 10, "PRONTO", 6);
	return t;
}

/* The n-th of `all` tables that XSDT and RSDT name. */
static const uint8_t *root_of(size_t n, size_t all, const char *signature)
{
	const uint8_t *rsdp = at(tables.rsdp, 36);
	const uint8_t *rsdt, *xsdt;

	assert_memory_equal(rsdp, "RSD PTR ", 8);
	assert_int_equal(sum(rsdp, 20), 0);
	assert_int_equal(sum(rsdp, 36), 0);
	assert_int_equal(rsdp[15], 2);
	assert_int_equal(le(rsdp + 20, 4), 36);
	xsdt = table_at(le(rsdp + 24, 8), "XSDT");
	assert_int_equal(le(xsdt + 4, 4), 36 + all * 8);
	rsdt = table_at(le(rsdp + 16, 4), "RSDT");
	assert_int_equal(le(rsdt + 4, 4), 36 + all * 4);
	assert_int_equal(le(rsdt + 36 + 4 * n, 4), le(xsdt + 36 + 8 * n, 8));
	return table_at(le(xsdt + 36 + 8 * n, 8), signature);
}

static const uint8_t *root(size_t n, const char *signature)
{
	return root_of(n, 3, signature);
}

static void test_references(void **state)
{
	static const char *const order[] = { "DSDT", "FACP", "APIC", "SPCR", "RSDT", "XSDT" };
	gpa_t end = LAYOUT_ACPI + 36;

	assert_int_equal(build(2, 4), 0);
	assert_int_equal(tables.rsdp, LAYOUT_ACPI);
	assert_int_equal(tables.rsdp_size, 36);
	assert_int_equal(tables.n_tables, ARRAY_SIZE(order));
	for (size_t i = 0; i < tables.n_tables; i++) {
		assert_string_equal(tables.table[i].signature, order[i]);
		assert_true(tables.table[i].gpa >= end);
		assert_int_equal(tables.table[i].gpa % 16, 0);
		assert_int_equal(
			le(table_at(tables.table[i].gpa, order[i]) + 4, 4), tables.table[i].size);
		end = tables.table[i].gpa + tables.table[i].size;
	}
}

static void assert_io_register(const uint8_t *gas, uint16_t port)
{
	assert_int_equal(gas[0], 1); /* system I/O */
	assert_int_equal(gas[1], 8);
	assert_int_equal(gas[2], 0);
	assert_int_equal(gas[3], 1);
	assert_int_equal(le(gas + 4, 8), port);
}

static void test_fadt(void **state)
{
	const uint8_t *fadt;
	uint64_t flags;

	assert_int_equal(build(1, 0), 0);
	fadt = root(0, "FACP");
	flags = le(fadt + 112, 4);
	assert_int_equal(le(fadt + 4, 4), 276);
	assert_int_equal(fadt[8], 6);
	assert_int_equal(fadt[131], 4);
	assert_true(flags & 1u << 20);
	assert_true(flags & 1u << 10);
	assert_true(flags & 1u << 4);
	assert_true(flags & 1u << 5);
	assert_true(flags & 1u << 0);
	assert_int_equal(le(fadt + 109, 2), 0x24);
	assert_io_register(fadt + 116, PLATFORM_PM_RESET);
	assert_int_equal(fadt[128], PLATFORM_PM_RESET_VALUE);
	assert_io_register(fadt + 244, PLATFORM_PM_SLEEP_CTL);
	assert_io_register(fadt + 256, PLATFORM_PM_SLEEP_STATUS);
	assert_memory_equal(fadt + 268, "PRONTO\0\0", 8);
	assert_int_equal(le(fadt + 36, 4), 0);
	assert_int_equal(le(fadt + 40, 4), 0);
	assert_int_equal(le(fadt + 132, 8), 0);
	table_at(le(fadt + 140, 8), "DSDT");
	/* Nothing of the fixed hardware. */
	for (size_t i = 45; i < 109; i++)
		assert_int_equal(fadt[i], 0);
	for (size_t i = 148; i < 244; i++)
		assert_int_equal(fadt[i], 0);
}

static void check_madt(uint32_t n_cpus)
{
	const uint8_t *madt, *p, *end;
	uint32_t cpus = 0, ioapics = 0, nmis = 0;

	assert_int_equal(build(n_cpus, 0), 0);
	madt = root(1, "APIC");
	end = madt + le(madt + 4, 4);
	assert_int_equal(le(madt + 36, 4), PLATFORM_LAPIC_BASE);
	assert_int_equal(le(madt + 40, 4), 0);
	for (p = madt + 44; p < end; p += p[1]) {
		assert_true(p[1] >= 2 && p + p[1] <= end);
		if (p[0] == 0) {
			assert_int_equal(p[2], cpus);
			assert_int_equal(p[3], cpus);
			assert_int_equal(le(p + 4, 4), 1);
			cpus++;
		} else if (p[0] == 1) {
			assert_int_equal(le(p + 4, 4), PLATFORM_IOAPIC_BASE);
			assert_int_equal(le(p + 8, 4), 0);
			ioapics++;
		} else if (p[0] == 4) {
			assert_int_equal(p[2], 0xff);
			assert_int_equal(p[5], 1);
			nmis++;
		} else {
			fail_msg("unexpected entry %u", p[0]);
		}
	}
	assert_int_equal(cpus, n_cpus);
	assert_int_equal(ioapics, 1);
	assert_int_equal(nmis, 1);
}

static void test_madt(void **state)
{
	check_madt(1);
	check_madt(2);
	check_madt(64);
	check_madt(255);
}

static void test_spcr(void **state)
{
	const uint8_t *spcr;

	assert_int_equal(build(1, 0), 0);
	spcr = root(2, "SPCR");
	assert_int_equal(le(spcr + 4, 4), 80);
	assert_int_equal(spcr[8], 2);
	assert_int_equal(spcr[36], 0);
	assert_io_register(spcr + 40, PLATFORM_SERIAL_PORT);
	assert_int_equal(spcr[52], 2);
	assert_int_equal(le(spcr + 54, 4), PLATFORM_SERIAL_GSI);
	assert_int_equal(spcr[58], 7);
	assert_int_equal(le(spcr + 64, 4), 0xffffffff);
}

static size_t count(const char *what, size_t size)
{
	const uint8_t *dsdt = table_at(tables.table[0].gpa, "DSDT"), *p = dsdt;
	const uint8_t *end = dsdt + tables.table[0].size;
	size_t n = 0;

	while ((p = memmem(p, (size_t)(end - p), what, size))) {
		n++;
		p++;
	}
	return n;
}

static void test_dsdt(void **state)
{
	for (uint32_t slots = 0; slots <= PLATFORM_VIRTIO_SLOTS; slots++) {
		uint32_t cpus = 1 + 4 * slots;

		assert_int_equal(build(cpus, slots), 0);
		assert_int_equal(count("LNRO0005", 9), slots);
		assert_int_equal(count("ACPI0007", 9), cpus);
		assert_int_equal(count("ACPI0013", 9), 1);
		assert_int_equal(count("\x0c\x41\xd0\x05\x01", 5), 1); /* PNP0501 */
		assert_int_equal(count("\x0c\x41\xd0\x0c\x0c", 5), 1); /* PNP0C0C */
	}
	assert_int_equal(count("_S5_\x12\x06\x02\x0a\x05\x0a\x05", 11), 1);
}

/* Among the tables and of none of them, and where ADDR says: its low half, its high half. */
static void test_vmgenid(void **state)
{
	static const char ids[] =
		"_HID\rVMGENCTR\0\b_UID\0\b_CID\rVM_Gen_Counter\0\b_DDN\rVM_Gen_Counter";
	static const uint8_t none[ACPI_VMGENID_SIZE];
	static const struct acpi_config row[] = {
		{ .n_cpus = 1 },
		{ .n_cpus = 255, .n_virtio_slots = PLATFORM_VIRTIO_SLOTS },
		{ .n_cpus = 2, .has_pci = true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		char address[] = "ADDR\x12\x08\x02\x0c....";
		uint32_t low;

		assert_int_equal(build_config(&row[i]), 0);
		low = (uint32_t)tables.vmgenid;
		assert_int_equal(tables.vmgenid % 8, 0);
		assert_true(range_within(
			tables.vmgenid, sizeof(none), LAYOUT_ACPI, tables.end - LAYOUT_ACPI));
		assert_true(tables.vmgenid >= tables.rsdp + tables.rsdp_size);
		for (uint32_t k = 0; k < tables.n_tables; k++)
			assert_true(tables.vmgenid + sizeof(none) <= tables.table[k].gpa ||
				    tables.vmgenid >= tables.table[k].gpa + tables.table[k].size);
		assert_memory_equal(at(tables.vmgenid, sizeof(none)), none, sizeof(none));
		memcpy(address + 8, &low, sizeof(low));
		assert_int_equal(count(address, sizeof(address)), 1); /* its NUL is the high half */
		assert_int_equal(count("VGEN\b", 5), 1);
		assert_int_equal(count(ids, sizeof(ids)), 1);
	}
}

/* The register, which the read clears, is read once, and each event is looked for in what it was.
 */
static void test_events(void **state)
{
	static const uint8_t method[] = { 0x14, 0x27, '_', 'E', 'V', 'T', 1, 0x70, 'E', 'V', 'T',
		'S', 0x60, 0xa0, 0x0d, 0x7b, 0x60, 0x0a, PLATFORM_PM_EVENT_VMGENID, 0x00, 0x86, 'V',
		'G', 'E', 'N', 0x0a, 0x80, 0xa0, 0x0c, 0x7b, 0x60, PLATFORM_PM_EVENT_POWER, 0x00,
		0x86, 'P', 'W', 'R', 'B', 0x0a, 0x80 };

	assert_int_equal(build(1, 0), 0);
	assert_int_equal(count((const char *)method, sizeof(method)), 1);
	assert_int_equal(count("EVTS", 4), 2); /* the field, and the read */
}

/* PCI Firmware 3.3, 4.1.2; the DSDT has the same bus, and the same place once more. */
static void test_pci(void **state)
{
	struct acpi_config config = { .n_cpus = 1, .has_pci = true };
	const uint8_t *mcfg;

	assert_int_equal(build(1, 0), 0);
	assert_int_equal(count("PCI0", 4) + count("ECAM", 4), 0);
	assert_int_equal(build_config(&config), 0);
	mcfg = root_of(3, 4, "MCFG");
	assert_int_equal(le(mcfg + 4, 4), 60);
	assert_int_equal(mcfg[8], 1);
	assert_int_equal(le(mcfg + 36, 8), 0);
	assert_int_equal(le(mcfg + 44, 8), PLATFORM_ECAM_BASE);
	assert_int_equal(le(mcfg + 52, 8), 0); /* segment 0, buses 0 to 0 */
	assert_int_equal(PLATFORM_ECAM_SIZE, 1 << 20);
	assert_int_equal(count("\x0c\x41\xd0\x0a\x08", 5), 1); /* PNP0A08 */
	assert_int_equal(count("\x0c\x41\xd0\x0a\x03", 5), 1);
	assert_int_equal(count("\x0c\x41\xd0\x0c\x02", 5), 1);
	assert_int_equal(count("\x86\x09\x00\x01\x00\x00\x00\xf8\x00\x00\x10\x00", 12), 1);
	assert_int_equal(count("LNRO0005", 9), 0);
}

static void test_refused(void **state)
{
	struct guest_mem tiny;
	struct acpi_config config = { .n_cpus = 1 };

	assert_int_equal(build(256, 0), -ENOSPC);
	assert_int_equal(build(UINT32_MAX, 0), -ENOSPC);
	assert_int_equal(guest_mem_init(&tiny, LAYOUT_ACPI + 4096), 0);
	assert_int_equal(acpi_build(&tiny, &config, &tables), -ENOSPC);
	guest_mem_fini(&tiny);
}

static int setup(void **state)
{
	return guest_mem_init(&mem, MIB(2));
}

static int teardown(void **state)
{
	guest_mem_fini(&mem);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_integers),
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_ids_and_strings),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_nesting),
		cmocka_unit_test(test_field),
		cmocka_unit_test(test_locals),
		cmocka_unit_test(test_resources),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_no_room),
		cmocka_unit_test(test_references),
		cmocka_unit_test(test_fadt),
		cmocka_unit_test(test_madt),
		cmocka_unit_test(test_spcr),
		cmocka_unit_test(test_dsdt),
		cmocka_unit_test(test_vmgenid),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_pci),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
