// SPDX-License-Identifier: MIT
/* test_pvh_info.c - libpvh reads a hand-over, and believes none of it */

#include "pvh_rig.h"

#define START   0x1004u /* 4-byte aligned, no more */
#define CMDLINE 0x2000u
#define MODLIST 0x3004u
#define MAP     0x4004u
#define MODULE  0x20000u
#define FAR     0x100000000u /* out of reach */

#define KVM "KVMKVMKVM\0\0\0"
#define XEN "XenVMMXenVMM"

typedef struct hvm_memmap_table_entry entry_t;

static const struct pvh_range image = { 0x10000, 0x8000 };
static const struct hvm_start_info good = {
	.magic = PVH_START_MAGIC,
	.version = 1,
	.flags = XEN_SIF_INITDOMAIN,
	.nr_modules = 1,
	.modlist_paddr = MODLIST,
	.cmdline_paddr = CMDLINE,
	.rsdp_paddr = 0xe0001,
	.memmap_paddr = MAP,
	.memmap_entries = 2,
};
static const entry_t good_map[] = {
	{ 0x100000, 0xff00000, PVH_MEMMAP_RAM, 0 },
	{ 0, 0xa0000, PVH_MEMMAP_RAM, 0 },
};

static struct pvh_info info;

static void put(uint64_t paddr, const void *from, size_t size)
{
	uint8_t *to = pvh_phys(paddr, size);

	assert_non_null(to);
	memcpy(to, from, size);
}

static int setup(void **state)
{
	const struct hvm_modlist_entry module = { MODULE, 0x1234, CMDLINE + 16, 0 };

	if (rig_setup(state))
		return -1;
	rig.signatures[0] = (struct signature){ 0x40000000, 0x40000001, KVM };
	put(START, &good, sizeof(good));
	put(CMDLINE, "console=ttyS0", 14);
	put(CMDLINE + 16, "a module", 9);
	put(MODLIST, &module, sizeof(module));
	put(MAP, good_map, sizeof(good_map));
	return 0;
}

static void on_xen(void)
{
	rig.signatures[0] = (struct signature){ 0x40000100, 0x40000104, XEN };
	rig.xen_map = good_map;
	rig.n_xen_map = 2;
}

/* Read a hand-over that is the good one but for what the test did. */
static int read_start(struct hvm_start_info start)
{
	put(START, &start, sizeof(start));
	memset(&info, 0xa5, sizeof(info));
	return pvh_info_read(&info, START, image);
}

static void assert_good_map(void)
{
	assert_int_equal(info.n_regions, 2);
	assert_int_equal(info.n_lost, 0);
	assert_memory_equal(&info.regions[0], &good_map[1], sizeof(entry_t));
	assert_memory_equal(&info.regions[1], &good_map[0], sizeof(entry_t));
}

/* ---- what is as it should be ---- */

static void test_all_is_read(void **state)
{
	assert_int_equal(read_start(good), 0);
	assert_int_equal(info.guest, PVH_GUEST_KVM);
	assert_int_equal(info.xen_base, 0);
	assert_int_equal(info.version, 1);
	assert_int_equal(info.flags, XEN_SIF_INITDOMAIN);
	assert_int_equal(info.rsdp, 0xe0001);
	assert_int_equal(info.cmdline.addr, CMDLINE);
	assert_int_equal(info.cmdline.size, 13);
	assert_int_equal(info.n_modules, 1);
	assert_int_equal(info.modules[0].data.addr, MODULE);
	assert_int_equal(info.modules[0].data.size, 0x1234);
	assert_int_equal(info.modules[0].cmdline.addr, CMDLINE + 16);
	assert_int_equal(info.modules[0].cmdline.size, 8);
	assert_good_map();
	assert_string_equal(rig.calls, "");
}

/* Nothing but a map; the pointers of what there is none of say nothing. */
static void test_least(void **state)
{
	struct hvm_start_info start = {
		.magic = PVH_START_MAGIC,
		.version = 1,
		.modlist_paddr = FAR,
		.memmap_paddr = MAP,
		.memmap_entries = 2,
	};

	rig.signatures[0].text = NULL;
	assert_int_equal(read_start(start), 0);
	assert_int_equal(info.guest, PVH_GUEST_OTHER);
	assert_int_equal(info.n_modules, 0);
	assert_int_equal(info.cmdline.addr, 0);
	assert_int_equal(info.cmdline.size, 0);
	assert_int_equal(info.rsdp, 0);
	assert_good_map();
}

static void test_newer_versions(void **state)
{
	static const uint32_t versions[] = { 2, 7, UINT32_MAX };
	struct hvm_start_info start = good;

	start.reserved = 0x55555555;
	for (size_t i = 0; i < ARRAY_LENGTH(versions); i++) {
		start.version = versions[i];
		assert_int_equal(read_start(start), 0);
		assert_int_equal(info.version, versions[i]);
		assert_good_map();
	}
}

static void test_any_alignment(void **state)
{
	for (uint32_t shift = 0; shift < 8; shift++) {
		struct hvm_start_info start = good;
		struct hvm_modlist_entry module = { MODULE, 0x1234, 0, 0 };

		start.memmap_paddr = MAP + shift;
		start.modlist_paddr = MODLIST + shift;
		put(0x5000 + shift, &start, sizeof(start));
		put(MAP + shift, good_map, sizeof(good_map));
		put(MODLIST + shift, &module, sizeof(module));
		assert_int_equal(pvh_info_read(&info, 0x5000 + shift, image), 0);
		assert_good_map();
		assert_int_equal(info.modules[0].data.size, 0x1234);
	}
}

static void test_modules(void **state)
{
	struct hvm_modlist_entry list[PVH_MAX_MODULES] = { 0 };
	struct hvm_start_info start = good;

	for (uint32_t i = 0; i < PVH_MAX_MODULES; i++) {
		list[i].paddr = FAR + i;
		list[i].size = 16 + i;
	}
	/* Next to the program on either side; empty and in it. */
	list[1] = (struct hvm_modlist_entry){ image.addr - 16, 16, 0, 0 };
	list[2] = (struct hvm_modlist_entry){ image.addr + image.size, 16, 0, 0 };
	list[3] = (struct hvm_modlist_entry){ image.addr + 16, 0, 0, 0 };
	list[4] = (struct hvm_modlist_entry){ UINT64_MAX - 5, 5, 0, 0 };
	put(MODLIST, list, sizeof(list));
	start.nr_modules = PVH_MAX_MODULES;
	assert_int_equal(read_start(start), 0);
	assert_int_equal(info.n_modules, PVH_MAX_MODULES);
	for (uint32_t i = 0; i < PVH_MAX_MODULES; i++) {
		assert_int_equal(info.modules[i].data.addr, list[i].paddr);
		assert_int_equal(info.modules[i].data.size, list[i].size);
		assert_int_equal(info.modules[i].cmdline.addr, 0);
	}
}

/* ---- where the map comes from ---- */

static const struct {
	const char *name;
	bool xen;
	uint32_t version, n_entries;
	int result;
	const char *calls;
} sources[] = {
	{ "version 1, table", false, 1, 2, 0, "" },
	{ "version 1, no table", false, 1, 0, -PVH_E_NO_MAP, "" },
	{ "version 0", false, 0, 2, -PVH_E_NO_MAP, "" },
	{ "Xen, version 1, table", true, 1, 2, 0, "i" },
	{ "Xen, version 1, no table", true, 1, 0, 0, "im" },
	{ "Xen, version 0", true, 0, 2, 0, "im" },
	{ "Xen, version 0, no table", true, 0, 0, 0, "im" },
};

static void test_map_sources(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(sources); i++) {
		struct hvm_start_info start = good;

		print_message("# %s\n", sources[i].name);
		rig.signatures[0] = (struct signature){ 0x40000000, 0x40000001, KVM };
		if (sources[i].xen)
			on_xen();
		memset(rig.calls, 0, sizeof(rig.calls));
		start.version = sources[i].version;
		start.memmap_entries = sources[i].n_entries;
		assert_int_equal(read_start(start), sources[i].result);
		assert_string_equal(rig.calls, sources[i].calls);
		if (!sources[i].result)
			assert_good_map();
	}
}

/* Version 0 ends with memory: what a version 1 would have there is not looked at. */
static void test_version_0_is_short(void **state)
{
	struct hvm_start_info start = good;
	uint32_t at = RIG_SIZE - PVH_START_INFO_V0_SIZE;

	on_xen();
	start.version = 0;
	put(at, &start, PVH_START_INFO_V0_SIZE);
	assert_int_equal(pvh_info_read(&info, at, image), 0);
	assert_good_map();
	start.version = 1;
	put(at, &start, PVH_START_INFO_V0_SIZE);
	assert_int_equal(pvh_info_read(&info, at, image), -PVH_E_START_INFO);
}

static void test_xen_init_knows_what_there_is(void **state)
{
	on_xen();
	assert_int_equal(read_start(good), 0);
	assert_int_equal(rig.at_init.guest, PVH_GUEST_XEN);
	assert_int_equal(rig.at_init.xen_base, 0x40000100);
	assert_int_equal(rig.at_init.version, 1);
	assert_int_equal(rig.at_init.flags, XEN_SIF_INITDOMAIN);
	assert_int_equal(info.guest, PVH_GUEST_XEN);
}

static void test_xen_fails(void **state)
{
	struct hvm_start_info start = good;

	on_xen();
	rig.init_result = -PVH_E_NO_XEN;
	assert_int_equal(read_start(start), -PVH_E_NO_XEN);
	assert_string_equal(rig.calls, "i");

	rig.init_result = 0;
	rig.map_result = -PVH_E_XEN;
	start.version = 0;
	assert_int_equal(read_start(start), -PVH_E_XEN);
	assert_int_equal(info.n_regions, 0);
	rig.map_result = 0;
	rig.n_xen_map = 0;
	assert_int_equal(read_start(start), -PVH_E_MAP_NO_RAM);
}

/* As many as there is room for may be more. */
static void test_xen_cuts_the_map(void **state)
{
	static const uint32_t counts[] = { 126, 127, 128, 129, 1000 };
	entry_t *map = calloc(1000, sizeof(*map));
	struct hvm_start_info start = good;

	assert_non_null(map);
	for (uint32_t i = 0; i < 1000; i++)
		map[i] = (entry_t){ (999 - i) * 0x100000ull, 0xf0000, PVH_MEMMAP_RAM, 0 };
	start.version = 0;
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		uint32_t n = counts[i];

		on_xen();
		rig.xen_map = map + 1000 - n;
		rig.n_xen_map = n;
		memset(rig.calls, 0, sizeof(rig.calls));
		assert_int_equal(read_start(start), n < 128 ? 0 : -PVH_E_MAP_COUNT);
		if (n >= 128)
			continue;
		assert_int_equal(info.n_regions, n);
		for (uint32_t k = 0; k < n; k++)
			assert_memory_equal(&info.regions[k], &map[999 - k], sizeof(*map));
	}
	free(map);
}

/* ---- the map ---- */

static void test_map_counts(void **state)
{
	static const uint32_t counts[] = { 1, 126, 127, 128, 129, 255, 256, 257, 1024 };
	struct hvm_start_info start = good;

	start.memmap_paddr = 0x30000;
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		uint32_t n = counts[i], n_kept = n < PVH_MAX_REGIONS ? n : PVH_MAX_REGIONS;

		for (uint32_t k = 0; k < n; k++) {
			entry_t entry = { k * 0x100000ull, 0xf0000, PVH_MEMMAP_RAM, 0 };

			put(0x30000 + k * sizeof(entry), &entry, sizeof(entry));
		}
		start.memmap_entries = n;
		assert_int_equal(read_start(start), 0);
		assert_int_equal(info.n_regions, n_kept);
		assert_int_equal(info.n_lost, n - n_kept);
	}
	/* Never looked at, though there, or though their size wraps 32 bits: 2^32 is 24 *
	 * 0xaaaaaab. */
	static const uint32_t too_many[] = { 1025, 0xaaaaaab, 0x80000000, UINT32_MAX };

	for (size_t i = 0; i < ARRAY_LENGTH(too_many); i++) {
		start.memmap_entries = too_many[i];
		assert_int_equal(read_start(start), -PVH_E_MAP_COUNT);
		assert_int_equal(info.n_regions, 0);
	}
}

static void test_map_addresses(void **state)
{
	static const uint64_t addresses[] = { 0, RIG_SIZE, RIG_SIZE - 47, FAR, FAR + MAP,
		UINT64_MAX, UINT64_MAX - 47, (uint64_t)-48 };
	struct hvm_start_info start = good;

	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		start.memmap_paddr = addresses[i];
		assert_int_equal(read_start(start), -PVH_E_MAP_ADDRESS);
	}
	start.memmap_paddr = RIG_SIZE - 48;
	put(start.memmap_paddr, good_map, sizeof(good_map));
	assert_int_equal(read_start(start), 0);
}

static const struct {
	const char *name;
	int result;
	entry_t map[2];
} maps[] = {
	{ "reserved only", -PVH_E_MAP_NO_RAM, { { 0, 0x10000000, 2, 0 }, { 0, 0, 0, 0 } } },
	{ "empty RAM", -PVH_E_MAP_NO_RAM, { { 0, 0, 1, 0 }, { 0x10000, 0, 1, 0 } } },
	{ "RAM all under another", -PVH_E_MAP_NO_RAM,
		{ { 0x1000, 0x9000, 1, 0 }, { 0, UINT64_MAX, 5, 0 } } },
	{ "RAM elsewhere", -PVH_E_MAP_IMAGE,
		{ { 0x100000, 0x100000, 1, 0 }, { 0, 0x100000, 2, 0 } } },
	{ "a byte short at the end", -PVH_E_MAP_IMAGE,
		{ { 0, 0x17fff, 1, 0 }, { 0x18000, 0x100000, 1, 0 } } },
	{ "a byte short at the start", -PVH_E_MAP_IMAGE,
		{ { 0x10001, 0x100000, 1, 0 }, { 0, 0, 0, 0 } } },
	{ "a reserved byte within", -PVH_E_MAP_IMAGE,
		{ { 0, 0x100000, 1, 0 }, { 0x14000, 1, 2, 0 } } },
	{ "just enough", 0, { { 0x10000, 0x8000, 1, 0 }, { 0, 0, 0, 0 } } },
	{ "in two parts", 0, { { 0x14000, 0x4000, 1, 0 }, { 0x10000, 0x4000, 1, 0 } } },
	{ "no hole below 1 MiB", 0, { { 0, 0x8000000, 1, 0 }, { 0xfee00000, 0x1000, 2, 0 } } },
	{ "wraps", 0, { { 0x10000, UINT64_MAX, 1, 0 }, { 0, 0, 0, 0 } } },
};

static void test_maps(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(maps); i++) {
		print_message("# %s\n", maps[i].name);
		put(MAP, maps[i].map, sizeof(maps[i].map));
		assert_int_equal(read_start(good), maps[i].result);
	}
}

/* ---- lies about the rest ---- */

static void test_start_info_addresses(void **state)
{
	static const uint32_t addresses[] = { 0, RIG_SIZE, RIG_SIZE - 39, RIG_SIZE - 55, UINT32_MAX,
		UINT32_MAX - 39, UINT32_MAX - 55 };

	put(RIG_SIZE - 56, &good, sizeof(good));
	assert_int_equal(pvh_info_read(&info, RIG_SIZE - 56, image), 0);
	put(0, &good, sizeof(good));
	put(RIG_SIZE - 55, &good, 55);
	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++)
		assert_int_equal(pvh_info_read(&info, addresses[i], image), -PVH_E_START_INFO);
}

static void test_magic(void **state)
{
	static const uint32_t magics[] = { 0, 0x336ec578 ^ 1, 0x78c56e33, 0x336e4578, UINT32_MAX };
	struct hvm_start_info start = good;

	on_xen();
	for (size_t i = 0; i < ARRAY_LENGTH(magics); i++) {
		start.magic = magics[i];
		assert_int_equal(read_start(start), -PVH_E_MAGIC);
		/* Nothing is believed, and Xen not called. */
		assert_int_equal(info.version, 0);
		assert_string_equal(rig.calls, "");
	}
}

static void test_module_lists(void **state)
{
	static const uint64_t addresses[] = { 0, FAR, RIG_SIZE - 31, UINT64_MAX, (uint64_t)-32 };
	static const uint32_t counts[] = { PVH_MAX_MODULES + 1, 0x8000000, UINT32_MAX };
	struct hvm_start_info start = good;

	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		start.modlist_paddr = addresses[i];
		assert_int_equal(read_start(start), -PVH_E_MODULE_LIST);
		assert_int_equal(info.n_modules, 0);
	}
	start = good;
	for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
		start.nr_modules = counts[i];
		assert_int_equal(read_start(start), -PVH_E_MODULE_COUNT);
		assert_int_equal(info.n_modules, 0);
	}
	/* The first entry can be read, the second not. */
	start.nr_modules = 2;
	start.modlist_paddr = RIG_SIZE - 32;
	assert_int_equal(read_start(start), -PVH_E_MODULE_LIST);
}

static void test_bad_modules(void **state)
{
	static const struct hvm_modlist_entry modules[] = {
		{ 0, 1, 0, 0 },
		{ UINT64_MAX, 1, 0, 0 },
		{ 0x20000, UINT64_MAX, 0, 0 },
		{ (uint64_t)-0x1000, 0x1000, 0, 0 },
		{ 0x10000, 0x8000, 0, 0 },
		{ 0x10000, 1, 0, 0 },
		{ 0x17fff, 1, 0, 0 },
		{ 0x17fff, 0x1000, 0, 0 },
		{ 0x8000, 0x8001, 0, 0 },
		{ 0x8000, 0x20000, 0, 0 },
		{ 1, UINT64_MAX - 1, 0, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(modules); i++) {
		put(MODLIST, &modules[i], sizeof(modules[i]));
		assert_int_equal(read_start(good), -PVH_E_MODULE);
		assert_int_equal(info.n_modules, 0);
	}
}

/* ---- command lines ---- */

static int read_cmdline(uint64_t paddr)
{
	struct hvm_start_info start = good;

	start.cmdline_paddr = paddr;
	return read_start(start);
}

static void test_cmdline_lengths(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 4094, 4095, 4096, 4097, 60000, 65534, 65535 };
	const uint64_t from = 0x28123;

	for (size_t i = 0; i < ARRAY_LENGTH(sizes); i++) {
		memset(rig.memory + from, 'x', sizes[i] + 2);
		rig.memory[from + sizes[i]] = 0;
		assert_int_equal(read_cmdline(from), 0);
		assert_int_equal(info.cmdline.addr, from);
		assert_int_equal(info.cmdline.size, sizes[i]);
	}
	memset(rig.memory + from, 'x', 65536);
	rig.memory[from + 65536] = 0;
	assert_int_equal(read_cmdline(from), -PVH_E_CMDLINE);
}

static void test_cmdline_at_the_end(void **state)
{
	memset(rig.memory + RIG_SIZE - 5000, 'x', 5000);
	assert_int_equal(read_cmdline(RIG_SIZE - 5000), -PVH_E_CMDLINE);
	assert_int_equal(read_cmdline(RIG_SIZE - 1), -PVH_E_CMDLINE);
	rig.memory[RIG_SIZE - 1] = 0;
	assert_int_equal(read_cmdline(RIG_SIZE - 5000), 0);
	assert_int_equal(info.cmdline.size, 4999);
	assert_int_equal(read_cmdline(RIG_SIZE - 1), 0);
	assert_int_equal(info.cmdline.size, 0);
}

static void test_cmdline_addresses(void **state)
{
	static const uint64_t addresses[] = { RIG_SIZE, FAR, FAR + CMDLINE, UINT64_MAX,
		(uint64_t)-4096 };

	for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
		struct hvm_modlist_entry module = { MODULE, 0x1234, addresses[i], 0 };

		assert_int_equal(read_cmdline(addresses[i]), -PVH_E_CMDLINE);
		put(MODLIST, &module, sizeof(module));
		assert_int_equal(read_cmdline(0), -PVH_E_CMDLINE);
		assert_int_equal(info.n_modules, 0);
		module.cmdline_paddr = 0;
		put(MODLIST, &module, sizeof(module));
	}
	assert_int_equal(read_cmdline(0), 0);
}

static void test_error_texts(void **state)
{
	static const int outside[] = { PVH_E_CMDLINE + 1, -PVH_E_CMDLINE - 1, INT32_MAX,
		INT32_MIN };

	for (int i = PVH_E_MAGIC; i <= PVH_E_CMDLINE; i++) {
		const char *text = pvh_error_text(-i);

		assert_in_range(strlen(text), 16, 63);
		assert_int_not_equal(text[strlen(text) - 1], '.');
		assert_string_equal(text, pvh_error_text(i));
		for (int k = PVH_E_MAGIC; k < i; k++)
			assert_string_not_equal(text, pvh_error_text(k));
	}
	for (size_t i = 0; i < ARRAY_LENGTH(outside); i++)
		assert_string_equal(pvh_error_text(outside[i]), "unknown error");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, rig_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_all_is_read),
		TEST(test_least),
		TEST(test_newer_versions),
		TEST(test_any_alignment),
		TEST(test_modules),
		TEST(test_map_sources),
		TEST(test_version_0_is_short),
		TEST(test_xen_init_knows_what_there_is),
		TEST(test_xen_fails),
		TEST(test_xen_cuts_the_map),
		TEST(test_map_counts),
		TEST(test_map_addresses),
		TEST(test_maps),
		TEST(test_start_info_addresses),
		TEST(test_magic),
		TEST(test_module_lists),
		TEST(test_bad_modules),
		TEST(test_cmdline_lengths),
		TEST(test_cmdline_at_the_end),
		TEST(test_cmdline_addresses),
		TEST(test_error_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
