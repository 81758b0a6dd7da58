// SPDX-License-Identifier: MIT
/* test_pvh_boot_params.c - a hand-over as Linux's struct boot_params */

#include "pvh_rig.h"

#include <asm/bootparam.h>

#define RAM      PVH_MEMMAP_RAM
#define RESERVED PVH_MEMMAP_RESERVED
#define ACPI     PVH_MEMMAP_ACPI
#define MAX_N    8
#define N_ROUNDS 20000
#define N_UNITS  48 /* of 64 KiB each: the ISA range is units 10 to 15 */
#define UNIT     0x10000ull
#define ISA      10
#define ISA_END  16

typedef struct hvm_memmap_table_entry entry_t;

static struct pvh_info info;
static struct boot_params params;

static int setup(void **state)
{
	memset(&info, 0, sizeof(info));
	memset(&params, 0xa5, sizeof(params));
	return 0;
}

static const struct {
	const char *name;
	entry_t regions[MAX_N];
	entry_t e820[MAX_N];
} cases[] = {
	{ "nothing", { { 0 } }, { { 0xa0000, 0x60000, RESERVED, 0 } } },
	{ "as a PC has it",
		{ { 0, 0x9f000, RAM, 0 }, { 0x9f000, 0x1000, RESERVED, 0 },
			{ 0x100000, 0x100000, RAM, 0 } },
		{ { 0, 0x9f000, RAM, 0 }, { 0x9f000, 0x61000, RESERVED, 0 },
			{ 0x100000, 0x100000, RAM, 0 } } },
	{ "no hole", { { 0, 0x200000, RAM, 0 } },
		{ { 0, 0xa0000, RAM, 0 }, { 0xa0000, 0x60000, RESERVED, 0 },
			{ 0x100000, 0x100000, RAM, 0 } } },
	{ "all above", { { 0x100000000, 0x1000, RAM, 0 } },
		{ { 0xa0000, 0x60000, RESERVED, 0 }, { 0x100000000, 0x1000, RAM, 0 } } },
	{ "all below", { { 0x1000, 0x1000, RAM, 0 } },
		{ { 0x1000, 0x1000, RAM, 0 }, { 0xa0000, 0x60000, RESERVED, 0 } } },
	{ "tables within",
		{ { 0, 0xa0000, RAM, 0 }, { 0xe0000, 0x800, ACPI, 0 },
			{ 0xe0800, 0x1000, RAM, 0 } },
		{ { 0, 0xa0000, RAM, 0 }, { 0xa0000, 0x40000, RESERVED, 0 },
			{ 0xe0000, 0x800, ACPI, 0 }, { 0xe0800, 0x1f800, RESERVED, 0 } } },
	{ "reserved across it all", { { 0x90000, 0x80000, RESERVED, 0 } },
		{ { 0x90000, 0x80000, RESERVED, 0 } } },
	{ "unusable across the end", { { 0xf0000, 0x20000, 5, 0 } },
		{ { 0xa0000, 0x50000, RESERVED, 0 }, { 0xf0000, 0x20000, 5, 0 } } },
	{ "up to the end of memory", { { 0x100000, UINT64_MAX - 0x100000, RAM, 0 } },
		{ { 0xa0000, 0x60000, RESERVED, 0 },
			{ 0x100000, UINT64_MAX - 0x100000, RAM, 0 } } },
};

static uint32_t length(const entry_t *entries)
{
	uint32_t n = 0;

	while (n < MAX_N && entries[n].size)
		n++;
	return n;
}

static void test_e820(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		print_message("# %s\n", cases[i].name);
		info.n_regions = length(cases[i].regions);
		memcpy(info.regions, cases[i].regions, sizeof(cases[i].regions));
		assert_int_equal(pvh_boot_params(&info, &params), 0);
		assert_int_equal(params.e820_entries, length(cases[i].e820));
		for (uint32_t k = 0; k < params.e820_entries; k++) {
			assert_int_equal(params.e820_table[k].addr, cases[i].e820[k].addr);
			assert_int_equal(params.e820_table[k].size, cases[i].e820[k].size);
			assert_int_equal(params.e820_table[k].type, cases[i].e820[k].type);
		}
	}
}

/* Against the type of each unit, one by one. */
static void test_e820_model(void **state)
{
	for (int round = 0; round < N_ROUNDS; round++) {
		uint32_t want[N_UNITS] = { 0 }, got[N_UNITS] = { 0 }, type = 0;

		info.n_regions = 0;
		for (uint32_t i = 0; i < N_UNITS; i++) {
			uint32_t last = type;

			if (!rig_random(3))
				type = rig_random(4);
			want[i] = type;
			if (i >= ISA && i < ISA_END && type <= RAM)
				want[i] = RESERVED;
			if (type && type == last)
				info.regions[info.n_regions - 1].size += UNIT;
			else if (type)
				info.regions[info.n_regions++] =
					(entry_t){ i * UNIT, UNIT, type, 0 };
		}
		assert_int_equal(pvh_boot_params(&info, &params), 0);
		for (uint32_t k = 0; k < params.e820_entries; k++) {
			struct boot_e820_entry *e = &params.e820_table[k];

			assert_int_equal((e->addr | e->size) % UNIT, 0);
			assert_true(e->size > 0);
			/* Ascending; neighbours of one type are one. */
			if (k && e[-1].addr + e[-1].size == e->addr)
				assert_int_not_equal(e[-1].type, e->type);
			else if (k)
				assert_true(e[-1].addr + e[-1].size < e->addr);
			assert_true(e->addr + e->size <= N_UNITS * UNIT);
			for (uint64_t u = e->addr / UNIT; u < (e->addr + e->size) / UNIT; u++)
				got[u] = e->type;
		}
		assert_memory_equal(got, want, sizeof(got));
	}
}

/* The ISA range comes first here, then as many as there is room for. */
static void test_e820_is_full(void **state)
{
	static const uint32_t counts[] = { 126, 127, 128, 129, 255, 256 };

	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		uint32_t n = counts[i], n_lost = n > 127 ? n - 127 : 0;

		for (uint32_t k = 0; k < n; k++)
			info.regions[k] = (entry_t){ (k + 2) * 0x100000ull, 0x1000, RAM, 0 };
		info.n_regions = n;
		memset(&params, 0xa5, sizeof(params));
		assert_int_equal(pvh_boot_params(&info, &params), n_lost);
		assert_int_equal(params.e820_entries, n + 1 - n_lost);
		assert_int_equal(params.e820_table[0].addr, 0xa0000);
		for (uint32_t k = 1; k < params.e820_entries; k++)
			assert_int_equal(params.e820_table[k].addr, (k + 1) * 0x100000ull);
		/* What lies behind the table. */
		assert_int_equal(params._pad8[0], 0);
		assert_int_equal(params.eddbuf_entries, 0);
	}
}

static void test_nothing_is_left(void **state)
{
	struct boot_params zero = { 0 };

	assert_int_equal(pvh_boot_params(&info, &params), 0);
	assert_int_equal(params.sentinel, 0);
	/* All that ought to be there, away. */
	memset(&params.e820_table, 0, sizeof(params.e820_table));
	params.e820_entries = 0;
	params.hdr.boot_flag = 0;
	params.hdr.header = 0;
	params.hdr.version = 0;
	params.hdr.type_of_loader = 0;
	assert_memory_equal(&params, &zero, sizeof(zero));
}

static void test_header(void **state)
{
	info.cmdline = (struct pvh_range){ 0x82000, 100 };
	info.rsdp = 0x100e0001;
	info.n_modules = 2;
	info.modules[0].data = (struct pvh_range){ 0x7000000, 0x123456 };
	info.modules[1].data = (struct pvh_range){ 0x1234000, 0x1000 };
	pvh_boot_params(&info, &params);
	assert_int_equal(params.hdr.boot_flag, 0xaa55);
	assert_memory_equal(&params.hdr.header, "HdrS", 4);
	assert_int_equal(params.hdr.version, 0x20c);
	assert_int_equal(params.hdr.cmd_line_ptr, 0x82000);
	assert_int_equal(params.ext_cmd_line_ptr, 0);
	assert_int_equal(params.hdr.ramdisk_image, 0x7000000);
	assert_int_equal(params.hdr.ramdisk_size, 0x123456);
	assert_int_equal(params.ext_ramdisk_image, 0);
	assert_int_equal(params.ext_ramdisk_size, 0);
	assert_int_equal(params.acpi_rsdp_addr, 0x100e0001);
}

static void test_above_4_gib(void **state)
{
	info.cmdline = (struct pvh_range){ 0x112345678, 100 };
	info.rsdp = 0x8000000000;
	info.n_modules = 1;
	info.modules[0].data = (struct pvh_range){ 0x3000001000, 0x200000003 };
	pvh_boot_params(&info, &params);
	assert_int_equal(params.hdr.cmd_line_ptr, 0x12345678);
	assert_int_equal(params.ext_cmd_line_ptr, 1);
	assert_int_equal(params.hdr.ramdisk_image, 0x1000);
	assert_int_equal(params.ext_ramdisk_image, 0x30);
	assert_int_equal(params.hdr.ramdisk_size, 3);
	assert_int_equal(params.ext_ramdisk_size, 2);
	assert_int_equal(params.acpi_rsdp_addr, 0x8000000000);
}

static void test_loader(void **state)
{
	static const uint8_t loaders[] = {
		[PVH_GUEST_OTHER] = 0xb0, [PVH_GUEST_KVM] = 0xb0, [PVH_GUEST_XEN] = 0x90
	};

	for (uint32_t i = 0; i < ARRAY_LENGTH(loaders); i++) {
		info.guest = (enum pvh_guest)i;
		pvh_boot_params(&info, &params);
		assert_int_equal(params.hdr.type_of_loader, loaders[i]);
	}
}

#define TEST(f) cmocka_unit_test_setup(f, setup)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_e820),
		TEST(test_e820_model),
		TEST(test_e820_is_full),
		TEST(test_nothing_is_left),
		TEST(test_header),
		TEST(test_above_4_gib),
		TEST(test_loader),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
