// SPDX-License-Identifier: MIT
/* test_pvh_guest.c - which hypervisor it is, by what CPUID says */

#include "pvh_rig.h"

#define XEN "XenVMMXenVMM"
#define KVM "KVMKVMKVM\0\0\0"
#define HV  "Microsoft Hv"

/* What KVM is taken for where its signature is not looked for. */
#ifdef CONFIG_KVM_GUEST_PVH
#define GUEST_OF_KVM PVH_GUEST_KVM
#else
#define GUEST_OF_KVM PVH_GUEST_OTHER
#endif

static const struct {
	const char *name;
	struct signature signatures[MAX_SIGNATURES];
	enum pvh_guest guest;
	uint32_t xen_base;
} cases[] = {
	{ "nobody", { { 0 } }, PVH_GUEST_OTHER, 0 },
	{ "another hypervisor", { { 0x40000000, 0x40000006, HV } }, PVH_GUEST_OTHER, 0 },

	{ "Xen, first base", { { 0x40000000, 0x40000004, XEN } }, PVH_GUEST_XEN, 0x40000000 },
	{ "Xen, second base", { { 0x40000100, 0x40000104, XEN } }, PVH_GUEST_XEN, 0x40000100 },
	{ "Xen, last base", { { 0x4000ff00, 0x4000ff04, XEN } }, PVH_GUEST_XEN, 0x4000ff00 },
	{ "Xen, beyond the last", { { 0x40010000, 0x40010004, XEN } }, PVH_GUEST_OTHER, 0 },
	{ "Xen, between two bases", { { 0x40000080, 0x40000084, XEN } }, PVH_GUEST_OTHER, 0 },
	{ "Xen, below the first", { { 0x3fffff00, 0x3fffff04, XEN } }, PVH_GUEST_OTHER, 0 },

	{ "Xen, just leaves enough", { { 0x40000000, 0x40000002, XEN } }, PVH_GUEST_XEN,
		0x40000000 },
	{ "Xen, a leaf short", { { 0x40000100, 0x40000101, XEN } }, PVH_GUEST_OTHER, 0 },
	{ "Xen, last leaf below base", { { 0x40000100, 0x40000004, XEN } }, PVH_GUEST_OTHER, 0 },
	{ "Xen, no last leaf", { { 0x40000000, 0, XEN } }, PVH_GUEST_OTHER, 0 },
	{ "Xen, all leaves", { { 0x40000000, 0xffffffff, XEN } }, PVH_GUEST_XEN, 0x40000000 },
	{ "Xen behind a wrong one",
		{ { 0x40000000, 0x40000001, XEN }, { 0x40000200, 0x40000204, XEN } }, PVH_GUEST_XEN,
		0x40000200 },

	{ "wrong by its first word", { { 0x40000000, 0x40000004, "xenVMMXenVMM" } },
		PVH_GUEST_OTHER, 0 },
	{ "wrong by its second word", { { 0x40000000, 0x40000004, "XenVMmXenVMM" } },
		PVH_GUEST_OTHER, 0 },
	{ "wrong by its last word", { { 0x40000000, 0x40000004, "XenVMMXenVMm" } }, PVH_GUEST_OTHER,
		0 },

	{ "KVM", { { 0x40000000, 0x40000001, KVM } }, GUEST_OF_KVM, 0 },
	{ "KVM, no last leaf", { { 0x40000000, 0, KVM } }, GUEST_OF_KVM, 0 },
	{ "KVM, last base", { { 0x4000ff00, 0x4000ff01, KVM } }, GUEST_OF_KVM, 0 },
	{ "KVM, beyond the last", { { 0x40010000, 0x40010001, KVM } }, PVH_GUEST_OTHER, 0 },
	{ "KVM behind another", { { 0x40000000, 0x40000006, HV }, { 0x40000100, 0x40000101, KVM } },
		GUEST_OF_KVM, 0 },
	{ "no KVM: blanks at the end", { { 0x40000000, 0x40000001, "KVMKVMKVM   " } },
		PVH_GUEST_OTHER, 0 },
	{ "no KVM by its first word", { { 0x40000000, 0x40000001, "kVMKVMKVM\0\0\0" } },
		PVH_GUEST_OTHER, 0 },
	{ "no KVM by its second word", { { 0x40000000, 0x40000001, "KVMKvMKVM\0\0\0" } },
		PVH_GUEST_OTHER, 0 },

	{ "Xen before KVM", { { 0x40000000, 0x40000004, XEN }, { 0x40000100, 0x40000101, KVM } },
		PVH_GUEST_XEN, 0x40000000 },
	{ "Xen behind KVM", { { 0x40000000, 0x40000001, KVM }, { 0x40000100, 0x40000104, XEN } },
		PVH_GUEST_XEN, 0x40000100 },
	{ "KVM beside a wrong Xen",
		{ { 0x40000000, 0x40000001, KVM }, { 0x40000100, 0x40000101, XEN } }, GUEST_OF_KVM,
		0 },
};

static void test_detect(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
		uint32_t xen_base = 0xdead;

		print_message("# %s\n", cases[i].name);
		memcpy(rig.signatures, cases[i].signatures, sizeof(rig.signatures));
		assert_int_equal(pvh_guest_detect(&xen_base), cases[i].guest);
		assert_int_equal(xen_base, cases[i].xen_base);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_detect, rig_setup, rig_teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
