// SPDX-License-Identifier: MIT
/* test_pvh_memmap.c - libpvh puts memory maps in order */

#include "pvh_rig.h"

#define RAM        PVH_MEMMAP_RAM
#define RESERVED   PVH_MEMMAP_RESERVED
#define ACPI       PVH_MEMMAP_ACPI
#define END        UINT64_MAX
#define MAX_N      8
#define N_ROUNDS   20000
#define N_POINTS   24
#define MAX_RANDOM 20

typedef struct hvm_memmap_table_entry entry_t;

static const struct {
	const char *name;
	entry_t in[MAX_N];
	entry_t out[MAX_N];
} cases[] = {
	{ "nothing", { { 0 } }, { { 0 } } },
	{ "one", { { 0x1000, 0x1000, RAM, 0 } }, { { 0x1000, 0x1000, RAM, 0 } } },
	{ "reserved fields vanish", { { 0x1000, 0x1000, RAM, 77 } },
		{ { 0x1000, 0x1000, RAM, 0 } } },
	{ "empty ones vanish",
		{ { 0x1000, 0, RESERVED, 0 }, { 0, 0x2000, RAM, 0 }, { 5, 0, 3, 0 } },
		{ { 0, 0x2000, RAM, 0 } } },
	{ "sorted", { { 0x5000, 0x1000, RAM, 0 }, { 0x1000, 0x1000, RAM, 0 } },
		{ { 0x1000, 0x1000, RAM, 0 }, { 0x5000, 0x1000, RAM, 0 } } },
	{ "neighbours join", { { 0x2000, 0x1000, RAM, 0 }, { 0x1000, 0x1000, RAM, 0 } },
		{ { 0x1000, 0x2000, RAM, 0 } } },
	{ "neighbours of two types do not",
		{ { 0x2000, 0x1000, ACPI, 0 }, { 0x1000, 0x1000, RAM, 0 } },
		{ { 0x1000, 0x1000, RAM, 0 }, { 0x2000, 0x1000, ACPI, 0 } } },
	{ "doubles join",
		{ { 0x1000, 0x1000, RAM, 0 }, { 0x1000, 0x1000, RAM, 0 },
			{ 0x1800, 0x1000, RAM, 0 } },
		{ { 0x1000, 0x1800, RAM, 0 } } },
	{ "what is not RAM wins within", { { 0, 0x10000, RAM, 0 }, { 0x4010, 0x40, ACPI, 0 } },
		{ { 0, 0x4010, RAM, 0 }, { 0x4010, 0x40, ACPI, 0 }, { 0x4050, 0xbfb0, RAM, 0 } } },
	{ "in either order", { { 0x4010, 0x40, ACPI, 0 }, { 0, 0x10000, RAM, 0 } },
		{ { 0, 0x4010, RAM, 0 }, { 0x4010, 0x40, ACPI, 0 }, { 0x4050, 0xbfb0, RAM, 0 } } },
	{ "across the start", { { 0x1000, 0x2000, RAM, 0 }, { 0, 0x1800, RESERVED, 0 } },
		{ { 0, 0x1800, RESERVED, 0 }, { 0x1800, 0x1800, RAM, 0 } } },
	{ "across the end", { { 0x1000, 0x2000, RAM, 0 }, { 0x2fff, 0x1000, RESERVED, 0 } },
		{ { 0x1000, 0x1fff, RAM, 0 }, { 0x2fff, 0x1000, RESERVED, 0 } } },
	{ "the greater type wins", { { 0, 0x3000, ACPI, 0 }, { 0x1000, 0x1000, RESERVED, 0 } },
		{ { 0, 0x3000, ACPI, 0 } } },
	{ "RAM under all of it is gone", { { 0x1000, 0x1000, RAM, 0 }, { 0, 0x4000, RESERVED, 0 } },
		{ { 0, 0x4000, RESERVED, 0 } } },
	{ "types nobody knows are kept, and are not RAM",
		{ { 0, 0x3000, RAM, 0 }, { 0x1000, 0x1000, 0xf00f, 0 },
			{ 0x2000, 1, UINT32_MAX, 0 } },
		{ { 0, 0x1000, RAM, 0 }, { 0x1000, 0x1000, 0xf00f, 0 },
			{ 0x2000, 1, UINT32_MAX, 0 }, { 0x2001, 0xfff, RAM, 0 } } },
	{ "type 0 is reserved", { { 0, 0x3000, RAM, 0 }, { 0x1000, 0x1000, 0, 0 } },
		{ { 0, 0x1000, RAM, 0 }, { 0x1000, 0x1000, RESERVED, 0 },
			{ 0x2000, 0x1000, RAM, 0 } } },
	{ "wraps: cut", { { END - 0xfff, 0x2000, RAM, 0 } }, { { END - 0xfff, 0xfff, RAM, 0 } } },
	{ "wraps to itself: cut", { { 0x1000, END, RESERVED, 0 } },
		{ { 0x1000, END - 0x1000, RESERVED, 0 } } },
	{ "all there is", { { 0, END, RAM, 0 } }, { { 0, END, RAM, 0 } } },
	{ "the last byte", { { END, 1, RAM, 0 } }, { { 0 } } },
	{ "up to the last byte", { { END - 1, 2, RAM, 0 } }, { { END - 1, 1, RAM, 0 } } },
};

static uint32_t length(const entry_t *entries)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < MAX_N; i++)
		if (entries[i].size || entries[i].addr)
			n = i + 1;
	return n;
}

static void test_cases(void **state)
{
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t n_want = length(cases[i].out), n = MAX_N;
		entry_t out[MAX_N];

		print_message("# %s\n", cases[i].name);
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(pvh_memmap_sanitize(cases[i].in, length(cases[i].in), out, &n), 0);
		assert_int_equal(n, n_want);
		assert_memory_equal(out, cases[i].out, n * sizeof(*out));
	}
}

/* ---- against a model: the type of each stretch between points, entry by entry ---- */

static int compare(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Ascending, no two alike, the last one the end; some of them next to another. */
static void random_points(uint64_t points[N_POINTS])
{
	uint64_t scale = rig_random(2) ? 64 : END / 4096;

	for (uint32_t i = 0; i < N_POINTS; i++)
		points[i] = rig_random(4096) * scale + rig_random(2);
	points[N_POINTS - 1] = END;
	if (rig_random(2))
		points[0] = 0;
	qsort(points, N_POINTS, sizeof(points[0]), compare);
	for (uint32_t i = 1; i < N_POINTS; i++)
		if (points[i] <= points[i - 1])
			points[i] = points[i - 1] + (points[i - 1] != END);
}

static uint32_t model_regions(const uint64_t *points, const uint32_t *types, entry_t *out)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i + 1 < N_POINTS; i++) {
		if (!types[i] || points[i] == points[i + 1])
			continue;
		if (n && out[n - 1].type == types[i] &&
			out[n - 1].addr + out[n - 1].size == points[i])
			out[n - 1].size = points[i + 1] - out[n - 1].addr;
		else
			out[n++] = (entry_t){ points[i], points[i + 1] - points[i], types[i], 0 };
	}
	return n;
}

/* From point a to point b; what ends at the last may as well wrap. */
static entry_t random_entry(const uint64_t *points, uint32_t *types)
{
	uint32_t a = rig_random(N_POINTS), b = rig_random(N_POINTS), type = rig_random(6);
	entry_t entry = { .type = type, .reserved = rig_random(2) };

	if (b < a)
		return (entry_t){ points[a], 0, type, 0 };
	for (uint32_t i = a; i < b; i++) {
		uint32_t counts = type ? type : RESERVED;

		types[i] = counts > types[i] ? counts : types[i];
	}
	entry.addr = points[a];
	entry.size = points[b] - points[a];
	if (b == N_POINTS - 1 && entry.addr && entry.size && rig_random(2))
		entry.size = END - rig_random(2) * (entry.addr - 1) / 2;
	return entry;
}

static void test_model(void **state)
{
	uint32_t n_with_lost = 0;

	for (int round = 0; round < N_ROUNDS; round++) {
		uint32_t n_in = rig_random(MAX_RANDOM + 1), room = rig_random(2 * MAX_RANDOM);
		entry_t in[MAX_RANDOM], out[2 * MAX_RANDOM], want[N_POINTS];
		uint32_t types[N_POINTS] = { 0 };
		uint64_t points[N_POINTS];
		uint32_t n_want, n_fit, n = room;

		random_points(points);
		for (uint32_t i = 0; i < n_in; i++)
			in[i] = random_entry(points, types);
		n_want = model_regions(points, types, want);
		n_fit = n_want < room ? n_want : room;
		memset(out, 0xa5, sizeof(out));
		assert_int_equal(pvh_memmap_sanitize(in, n_in, out, &n), n_want - n_fit);
		assert_int_equal(n, n_fit);
		assert_memory_equal(out, want, n * sizeof(*out));
		/* Nothing beyond. */
		for (uint32_t i = n; i < ARRAY_LENGTH(out); i++)
			assert_int_equal(out[i].type, 0xa5a5a5a5);
		n_with_lost += n_want > n_fit;
	}
	assert_in_range(n_with_lost, N_ROUNDS / 100, N_ROUNDS - N_ROUNDS / 10);
}

/* The greatest number that is accepted, at its worst: every other page, all under one. */
static void test_many(void **state)
{
	entry_t *in = calloc(PVH_MAX_MAP_ENTRIES, sizeof(*in));
	entry_t *out = calloc(2 * PVH_MAX_MAP_ENTRIES, sizeof(*out));
	uint32_t n = 2 * PVH_MAX_MAP_ENTRIES, last = PVH_MAX_MAP_ENTRIES - 1;

	assert_non_null(in);
	assert_non_null(out);
	for (uint32_t i = 0; i < last; i++)
		in[i] = (entry_t){ 0x2000ull * (last - i), 0x1000, RESERVED, 0 };
	in[last] = (entry_t){ 0, END, RAM, 0 };
	assert_int_equal(pvh_memmap_sanitize(in, PVH_MAX_MAP_ENTRIES, out, &n), 0);
	assert_int_equal(n, 2 * last + 1);
	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(out[i].type, i % 2 ? RESERVED : RAM);

	n = 10;
	assert_int_equal(pvh_memmap_sanitize(in, PVH_MAX_MAP_ENTRIES, out, &n), 2 * last + 1 - 10);
	assert_int_equal(n, 10);
	n = 0;
	assert_int_equal(pvh_memmap_sanitize(in, PVH_MAX_MAP_ENTRIES, out, &n), 2 * last + 1);
	free(in);
	free(out);
}

/* A table may lie at any address. */
static void test_unaligned(void **state)
{
	const entry_t in[] = { { 0x5000, 0x1000, RAM, 0 }, { 0x1000, 0x2000, ACPI, 0 } };

	for (uint32_t shift = 0; shift < 8; shift++) {
		uint8_t bytes[sizeof(in) + 8];
		uintptr_t addr = (uintptr_t)bytes + shift;
		uint32_t n = MAX_N;
		entry_t out[MAX_N];

		memcpy((void *)addr, in, sizeof(in));
		assert_int_equal(pvh_memmap_sanitize((const entry_t *)addr, 2, out, &n), 0);
		assert_int_equal(n, 2);
		assert_memory_equal(&out[0], &in[1], sizeof(*out));
		assert_memory_equal(&out[1], &in[0], sizeof(*out));
	}
}

static void test_is_ram(void **state)
{
	static const struct pvh_info info = {
		.n_regions = 4,
		.regions = { { 0x1000, 0x3000, RAM, 0 }, { 0x4000, 0x1000, RESERVED, 0 },
			{ 0x5000, 0x1000, RAM, 0 }, { END - 0x1000, 0x1000, RAM, 0 },
			{ 0x8000, 0x1000, RAM, 0 } },
	};
	static const struct {
		struct pvh_range range;
		int is_ram;
	} ranges[] = {
		{ { 0x1000, 0x3000 }, 1 },
		{ { 0x1000, 1 }, 1 },
		{ { 0x3fff, 1 }, 1 },
		{ { 0xfff, 1 }, 0 },
		{ { 0xfff, 2 }, 0 },
		{ { 0x3fff, 2 }, 0 },
		{ { 0x1000, 0x3001 }, 0 },
		{ { 0x4000, 1 }, 0 },
		{ { 0x3000, 0x3000 }, 0 },
		{ { 0x5000, 0x1000 }, 1 },
		{ { 0x8000, 1 }, 0 },
		{ { 0x2000, END }, 0 },
		{ { END, 0x3000 }, 0 },
		{ { END - 0x1000, 0x1000 }, 1 },
		{ { END - 0x1000, 0x1001 }, 0 },
		{ { END - 0x1000, 0x3000 }, 0 },
	};

	for (size_t i = 0; i < ARRAY_LENGTH(ranges); i++)
		assert_int_equal(!!pvh_memmap_is_ram(&info, ranges[i].range), ranges[i].is_ram);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cases),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_unaligned),
		cmocka_unit_test(test_is_ram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
