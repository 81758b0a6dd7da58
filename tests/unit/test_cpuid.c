// SPDX-License-Identifier: MIT
/* test_cpuid.c - what a vCPU is told about itself */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "kvm/cpu_state.h"
#include "util/bits.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum vendor { INTEL, AMD, HYGON };

static const uint32_t vendors[][3] = {
	[INTEL] = { 0x756e6547, 0x6c65746e, 0x49656e69 }, /* ebx, ecx, edx */
	[AMD] = { 0x68747541, 0x444d4163, 0x69746e65 },
	[HYGON] = { 0x6f677948, 0x656e6975, 0x6e65476e },
};

/* A host's table in which every bit that is to be replaced is set, and the rest too. */
static struct kvm_cpuid2 *host_table(enum vendor vendor)
{
	static const uint32_t leaves[][2] = { { 1, 0 }, { 4, 0 }, { 4, 1 }, { 4, 2 }, { 4, 3 },
		{ 7, 0 }, { 7, 1 }, { 0xa, 0 }, { 0x23, 0 }, { 0xb, 0 }, { 0xb, 1 }, { 0xb, 2 },
		{ 0x1f, 0 }, { 0x1f, 1 }, { 0x80000001, 0 }, { 0x80000002, 0 }, { 0x80000003, 0 },
		{ 0x80000004, 0 }, { 0x80000005, 0 }, { 0x8000000a, 0 }, { 0x80000022, 0 },
		{ 0x80000008, 0 }, { 0x8000001d, 3 }, { 0x8000001e, 0 } };
	uint32_t n = 1 + ARRAY_SIZE(leaves);
	struct kvm_cpuid2 *cpuid = calloc(1, sizeof(*cpuid) + n * sizeof(cpuid->entries[0]));

	cpuid->nent = n;
	cpuid->entries[0] = (struct kvm_cpuid_entry2){ .function = 0,
		.eax = 0x1f,
		.ebx = vendors[vendor][0],
		.ecx = vendors[vendor][1],
		.edx = vendors[vendor][2] };
	for (uint32_t i = 1; i < n; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		*entry = (struct kvm_cpuid_entry2){ .function = leaves[i - 1][0],
			.index = leaves[i - 1][1],
			.eax = UINT32_MAX,
			.ebx = UINT32_MAX,
			.ecx = UINT32_MAX,
			.edx = UINT32_MAX };
		/* Cache levels 1, 1, 2, then none; leaf 0x8000001d has level 3. */
		if (entry->function == 4)
			entry->eax = (UINT32_MAX & ~0xffu) |
			             (entry->index < 3 ? (entry->index / 2 + 1) << 5 | 1 : 0);
		if (entry->function == 0x8000001d)
			entry->eax = (UINT32_MAX & ~0xffu) | 3u << 5 | 3;
	}
	return cpuid;
}

static const struct kvm_cpuid_entry2 *find(
	const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index)
{
	for (uint32_t i = 0; i < cpuid->nent; i++)
		if (cpuid->entries[i].function == function && cpuid->entries[i].index == index)
			return &cpuid->entries[i];
	fail_msg("no leaf 0x%x.%u", function, index);
	return NULL;
}

static uint32_t bits(uint32_t reg, unsigned int high, unsigned int low)
{
	return (uint32_t)((uint64_t)reg >> low & ((1ull << (high - low + 1)) - 1));
}

static void test_leaf_1(void **state)
{
	static const struct {
		uint32_t id, n;
	} cases[] = { { 0, 1 }, { 0, 2 }, { 1, 2 }, { 3, 4 }, { 63, 64 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_cpuid2 *cpuid = host_table(INTEL);
		const struct kvm_cpuid_entry2 *one;

		cpu_state_patch_cpuid(cpuid, cases[i].id, cases[i].n, true);
		one = find(cpuid, 1, 0);
		assert_int_equal(bits(one->ebx, 31, 24), cases[i].id);
		assert_int_equal(bits(one->ebx, 23, 16), cases[i].n);
		assert_int_equal(bits(one->ebx, 15, 0), 0xffff); /* cache line, brand: the host's */
		assert_int_equal(bits(one->edx, 28, 28), cases[i].n > 1);
		assert_int_equal(one->edx | 1u << 28, UINT32_MAX);
		assert_int_equal(one->eax, UINT32_MAX);
		free(cpuid);
	}
}

/* KVM_GET_SUPPORTED_CPUID leaves these three to the VMM. */
static void test_added_features(void **state)
{
	for (int deadline = 0; deadline < 2; deadline++) {
		struct kvm_cpuid2 *cpuid = host_table(INTEL);
		struct kvm_cpuid_entry2 *one = &cpuid->entries[1];

		assert_int_equal(one->function, 1);
		one->ecx = 0x5;
		cpu_state_patch_cpuid(cpuid, 0, 1, deadline);
		assert_int_equal(one->ecx, 0x5 | 1u << 31 | 1u << 21 | (uint32_t)deadline << 24);
		free(cpuid);
	}
}

static void test_topology(void **state)
{
	static const struct {
		uint32_t n, width;
	} cases[] = { { 1, 0 }, { 2, 1 }, { 3, 2 }, { 4, 2 }, { 5, 3 }, { 64, 6 } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_cpuid2 *cpuid = host_table(INTEL);
		const struct kvm_cpuid_entry2 *threads, *cores, *end;
		uint32_t id = cases[i].n - 1;

		cpu_state_patch_cpuid(cpuid, id, cases[i].n, true);
		threads = find(cpuid, 0xb, 0);
		cores = find(cpuid, 0xb, 1);
		end = find(cpuid, 0xb, 2);
		assert_int_equal(threads->eax, 0); /* one thread a core */
		assert_int_equal(threads->ebx, 1);
		assert_int_equal(threads->ecx, 1 << 8 | 0);
		assert_int_equal(cores->eax, cases[i].width);
		assert_int_equal(cores->ebx, cases[i].n);
		assert_int_equal(cores->ecx, 2 << 8 | 1);
		assert_int_equal(end->eax | end->ebx, 0);
		assert_int_equal(end->ecx, 2); /* no level */
		assert_int_equal(threads->edx, id);
		assert_int_equal(cores->edx, id);
		assert_int_equal(find(cpuid, 0x1f, 1)->ebx, cases[i].n);
		free(cpuid);
	}
}

static void test_caches(void **state)
{
	struct kvm_cpuid2 *cpuid = host_table(INTEL);

	cpu_state_patch_cpuid(cpuid, 1, 5, true);
	for (uint32_t index = 0; index < 3; index++) { /* levels 1, 1, 2 */
		assert_int_equal(bits(find(cpuid, 4, index)->eax, 25, 14), 0);
		assert_int_equal(bits(find(cpuid, 4, index)->eax, 31, 26), 7);
		assert_int_equal(bits(find(cpuid, 4, index)->eax, 13, 8), 0x3f);
	}
	assert_int_equal(find(cpuid, 4, 3)->eax, UINT32_MAX & ~0xffu); /* no cache: untouched */
	assert_int_equal(bits(find(cpuid, 0x8000001d, 3)->eax, 25, 14), 7);
	assert_int_equal(bits(find(cpuid, 0x8000001d, 3)->eax, 31, 26), 0x3f);
	free(cpuid);
}

static void check_amd(enum vendor vendor)
{
	struct kvm_cpuid2 *cpuid = host_table(vendor);
	const struct kvm_cpuid_entry2 *sizes, *ids;

	cpu_state_patch_cpuid(cpuid, 2, 3, true);
	assert_int_equal(bits(find(cpuid, 0x80000001, 0)->ecx, 1, 1), 1);
	sizes = find(cpuid, 0x80000008, 0);
	assert_int_equal(bits(sizes->ecx, 15, 12), 2);
	assert_int_equal(bits(sizes->ecx, 7, 0), 2);
	assert_int_equal(sizes->eax, UINT32_MAX); /* address sizes: the host's */
	ids = find(cpuid, 0x8000001e, 0);
	assert_int_equal(ids->eax, 2);
	assert_int_equal(bits(ids->ebx, 15, 0), 2);
	assert_int_equal(ids->ecx, 0);
	free(cpuid);

	cpuid = host_table(vendor);
	cpu_state_patch_cpuid(cpuid, 0, 1, true);
	assert_int_equal(bits(find(cpuid, 0x80000001, 0)->ecx, 1, 1), 0); /* no second core */
	free(cpuid);
}

static void test_amd(void **state)
{
	check_amd(AMD);
	check_amd(HYGON);
}

static void test_intel_keeps_the_leaves_of_amd(void **state)
{
	struct kvm_cpuid2 *cpuid = host_table(INTEL);

	cpu_state_patch_cpuid(cpuid, 2, 3, true);
	assert_int_equal(find(cpuid, 0x80000001, 0)->ecx, UINT32_MAX);
	assert_int_equal(find(cpuid, 0x80000008, 0)->ecx, UINT32_MAX);
	assert_int_equal(find(cpuid, 7, 0)->ebx, UINT32_MAX);
	free(cpuid);
}

/* What a leaf of ones has lost. */
static void assert_lost(const struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t index,
	uint32_t eax, uint32_t ecx)
{
	const struct kvm_cpuid_entry2 *entry = find(cpuid, function, index);

	assert_int_equal(~entry->eax, eax);
	assert_int_equal(~entry->ecx, ecx);
}

static void check_limits(bool nested, bool pmu)
{
	const struct kvm_extras extras = { .nested = nested, .pmu = pmu };
	struct kvm_cpuid2 *cpuid = host_table(AMD);
	uint32_t pmu_lost = pmu ? 0 : UINT32_MAX;

	cpu_state_limit_cpuid(cpuid, &extras);
	assert_lost(cpuid, 1, 0, 0, (nested ? 0 : 1u << 5) | (pmu ? 0 : 1u << 15));
	assert_lost(cpuid, 7, 0, 0, 1u << 5);
	assert_lost(cpuid, 7, 1, pmu ? 0 : 1u << 8, 0);
	assert_lost(cpuid, 0x80000001, 0, 0,
		(nested ? 0 : 1u << 2) | (pmu ? 0 : 1u << 23 | 1u << 24 | 1u << 28));
	assert_lost(cpuid, 0x8000000a, 0, nested ? 0 : UINT32_MAX, nested ? 0 : UINT32_MAX);
	assert_lost(cpuid, 0xa, 0, pmu_lost, pmu_lost);
	assert_lost(cpuid, 0x23, 0, pmu_lost, pmu_lost);
	assert_lost(cpuid, 0x80000022, 0, pmu_lost, pmu_lost);
	assert_lost(cpuid, 0x80000005, 0, 0, 0);
	free(cpuid);
}

static void test_extras(void **)
{
	check_limits(false, false);
	check_limits(true, false);
	check_limits(false, true);
	check_limits(true, true);
}

static void assert_name(const char *given, const char expected[48])
{
	struct kvm_cpuid2 *cpuid = host_table(INTEL);
	uint32_t name[3][4];

	cpu_state_name_cpu(cpuid, given);
	for (uint32_t i = 0; i < 3; i++) {
		const struct kvm_cpuid_entry2 *entry = find(cpuid, 0x80000002 + i, 0);

		name[i][0] = entry->eax;
		name[i][1] = entry->ebx;
		name[i][2] = entry->ecx;
		name[i][3] = entry->edx;
	}
	assert_memory_equal(name, expected, 48);
	assert_int_equal(find(cpuid, 0x80000001, 0)->eax, UINT32_MAX);
	assert_int_equal(find(cpuid, 0x80000005, 0)->eax, UINT32_MAX);
	free(cpuid);
}

/* Zeros behind it, one at least. */
static void test_name(void **)
{
	static const char none[48], some[48] = "A Processor of 1 GHz",
				    most[48] = "0123456789abcdef0123456789abcdef0123456789abcde";

	assert_name("", none);
	assert_name("A Processor of 1 GHz", some);
	assert_name("0123456789abcdef0123456789abcdef0123456789abcde", most);
	assert_name("0123456789abcdef0123456789abcdef0123456789abcdefgh", most);
}

/* The rates have a leaf of their own, behind KVM's, if there is something to tell. */
static void test_rates(void **)
{
	union {
		struct kvm_cpuid2 cpuid;
		uint8_t space[sizeof(struct kvm_cpuid2) + 3 * sizeof(struct kvm_cpuid_entry2)];
	} table = { .cpuid.nent = 2 };
	struct kvm_cpuid_entry2 *entries = table.cpuid.entries;

	entries[0] = (struct kvm_cpuid_entry2){ .function = 0x40000000, .eax = 0x40000001 };
	entries[1] = (struct kvm_cpuid_entry2){ .function = 0x40000001, .eax = 8 };
	cpu_state_tell_rates(&table.cpuid, -EIO);
	cpu_state_tell_rates(&table.cpuid, 0);
	assert_int_equal(table.cpuid.nent, 2);
	assert_int_equal(entries[0].eax, 0x40000001);
	cpu_state_tell_rates(&table.cpuid, 2345678);
	assert_int_equal(table.cpuid.nent, 3);
	assert_int_equal(entries[0].eax, 0x40000010);
	assert_int_equal(entries[1].eax, 8);
	assert_int_equal(find(&table.cpuid, 0x40000010, 0)->eax, 2345678);
	assert_int_equal(find(&table.cpuid, 0x40000010, 0)->ebx, 1000000);
}

/* ---- whether a host has what another has told its guest ---- */

static int check_against(
	const struct kvm_cpuid2 *its, const struct kvm_cpuid2 *here, char text[200])
{
	struct diag diag = { "" };
	int ret = cpu_state_check_cpuid(its->entries, its->nent, here, &diag);

	snprintf(text, 200, "%s", diag.text);
	return ret;
}

static void test_same_host(void **)
{
	struct kvm_cpuid2 *its = host_table(INTEL), *here = host_table(INTEL);
	char text[200];

	assert_int_equal(check_against(its, here, text), 0);
	/* What we tell of ourselves, whatever KVM says that it offers. */
	((struct kvm_cpuid_entry2 *)find(here, 1, 0))->ecx &= ~(1u << 31 | 1u << 21 | 1u << 24);
	assert_int_equal(check_against(its, here, text), 0);
	/* A host that has more is none the worse. */
	((struct kvm_cpuid_entry2 *)find(its, 7, 0))->ebx = 0;
	assert_int_equal(check_against(its, here, text), 0);
	free(its);
	free(here);
}

static void test_host_with_less(void **)
{
	static const struct {
		uint32_t function, index;
		size_t reg;
		const char *name;
	} cases[] = {
#define CASE(function, index, reg, name) \
	{ function, index, offsetof(struct kvm_cpuid_entry2, reg), name }
		CASE(1, 0, ecx, "0x1.0 ECX"),
		CASE(1, 0, edx, "0x1.0 EDX"),
		CASE(7, 0, ebx, "0x7.0 EBX"),
		CASE(7, 0, ecx, "0x7.0 ECX"),
		CASE(7, 0, edx, "0x7.0 EDX"),
		CASE(0x80000001, 0, ecx, "0x80000001.0 ECX"),
		CASE(0x80000001, 0, edx, "0x80000001.0 EDX"),
		CASE(0x80000008, 0, ebx, "0x80000008.0 EBX"),
	};
	struct kvm_cpuid2 *its = host_table(AMD);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct kvm_cpuid2 *here = host_table(AMD);
		const struct kvm_cpuid_entry2 *entry = find(
			here, cases[i].function, cases[i].index);
		char text[200], expected[200];

		*(uint32_t *)((char *)entry + cases[i].reg) &= ~(1u << 13);
		snprintf(expected, sizeof(expected),
			"its processor has features that this host's KVM does not offer: CPUID %s, "
			"bits 0x2000",
			cases[i].name);
		assert_int_equal(check_against(its, here, text), -ENOTSUP);
		assert_string_equal(text, expected);
		free(here);
	}
	free(its);
}

static void test_another_maker(void **)
{
	struct kvm_cpuid2 *its = host_table(INTEL), *here = host_table(AMD);
	char text[200];

	assert_int_equal(check_against(its, here, text), -ENOTSUP);
	assert_string_equal(text, "its processor is one of another maker than this host's");
	its->nent = 0; /* a file that says nothing */
	assert_int_equal(check_against(its, here, text), -ENOTSUP);
	free(its);
	free(here);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_leaf_1),
		cmocka_unit_test(test_added_features),
		cmocka_unit_test(test_topology),
		cmocka_unit_test(test_caches),
		cmocka_unit_test(test_amd),
		cmocka_unit_test(test_extras),
		cmocka_unit_test(test_name),
		cmocka_unit_test(test_rates),
		cmocka_unit_test(test_same_host),
		cmocka_unit_test(test_host_with_less),
		cmocka_unit_test(test_another_maker),
		cmocka_unit_test(test_intel_keeps_the_leaves_of_amd),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
