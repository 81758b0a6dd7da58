// SPDX-License-Identifier: MIT
/* test_plan.c - where all goes that is loaded, and how much memory would do for it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/layout.h"
#include "boot/plan.h"

#include <errno.h>

/* A kernel, and an initrd if it has a size. */
struct fixture {
	struct image image, kernel;
	struct boot_spec spec;
	struct handover handover;
	struct diag diag;
};

static void init(struct fixture *f, uint64_t gpa, uint64_t size, uint64_t initrd_size)
{
	*f = (struct fixture){ 0 };
	f->image.elf.segment[0] = (struct elf_segment){ .gpa = gpa, .mem_size = size };
	f->image.elf.n_segments = 1;
	f->image.elf.start = gpa;
	f->image.elf.end = gpa + size;
	f->spec.image = &f->image;
	f->spec.initrd_fd = initrd_size ? 0 : -1;
	f->spec.initrd_size = initrd_size;
}

static void set_reloc(struct fixture *f, uint64_t align, uint64_t min, uint64_t max)
{
	f->image.elf.has_reloc = true;
	f->image.elf.reloc = (struct elf_reloc){ align, min, max };
}

/* Through the shim, which `init` made the image. */
static void set_kernel(struct fixture *f, uint64_t room_start, uint64_t room_end, uint64_t size)
{
	f->kernel.size = size;
	f->kernel.kind.room_start = room_start;
	f->kernel.kind.room_end = room_end;
	f->spec.kernel = &f->kernel;
}

static int plan(struct fixture *f, uint64_t memory)
{
	return plan_boot(&f->handover, &f->spec, memory, LAYOUT_FEW_TABLES, &f->diag);
}

static void expect_refusal(struct fixture *f, uint64_t memory, const char *message)
{
	assert_int_equal(plan(f, memory), -ENOSPC);
	assert_string_equal(f->diag.text, message);
}

/* What is advised is enough, and a MiB less is not. */
static void expect_advice(struct fixture *f, uint64_t memory, uint64_t mib, const char *reason)
{
	char message[512];

	snprintf(message, sizeof(message), "%s: give the guest %lluM of memory or more", reason,
		(unsigned long long)mib);
	expect_refusal(f, memory, message);
	assert_int_equal(plan(f, MIB(mib)), 0);
	assert_int_equal(plan(f, MIB(mib - 1)), -ENOSPC);
}

static void test_plan(void **state)
{
	struct fixture f;

	init(&f, MIB(16), MIB(4), MIB(8));
	assert_int_equal(plan(&f, MIB(32)), 0);
	assert_int_equal(f.handover.load_offset, 0);
	assert_int_equal(f.handover.taken.n_modules, 1);
	assert_int_equal(f.handover.taken.module[0].paddr, MIB(24));
	assert_int_equal(f.handover.taken.module[0].size, MIB(8));
}

/* The kernel's place alone would say 33M. */
static void test_advice_counts_all(void **state)
{
	struct fixture f;

	init(&f, MIB(16), MIB(17), MIB(20));
	expect_advice(&f, MIB(32), 53,
		"the kernel's segment [0x1000000, 0x2100000) lies outside the guest's RAM");
	init(&f, MIB(16), MIB(16), MIB(20));
	expect_advice(&f, MIB(32), 52,
		"the initrd of 20M does not fit beside the kernel's 16M in 32M of memory");
	/* Below the kernel there is room as well. */
	init(&f, MIB(16), MIB(17), MIB(15));
	expect_advice(&f, MIB(32), 33,
		"the kernel's segment [0x1000000, 0x2100000) lies outside the guest's RAM");
	/* RAM above the device hole: 3 GiB are below it. */
	init(&f, GIB(4), MIB(1), 0);
	expect_advice(&f, MIB(32), 3073,
		"the kernel's segment [0x100000000, 0x100100000) lies outside the guest's RAM");
}

static void test_advice_moved(void **state)
{
	struct fixture f;

	init(&f, MIB(64), MIB(40), MIB(10));
	set_reloc(&f, MIB(2), 0, UINT32_MAX);
	expect_advice(&f, MIB(32), 52,
		"the kernel, 40M from 0x4000000 on, has no place in the guest's RAM, neither there nor in "
		"[0, 0xffffffff], where its PHYS32_RELOC note lets it be moved");
	init(&f, MIB(40), MIB(4), 0);
	set_reloc(&f, MIB(2), MIB(60), UINT32_MAX);
	expect_advice(&f, MIB(32), 44,
		"the kernel, 4M from 0x2800000 on, has no place in the guest's RAM, neither there nor in "
		"[0x3c00000, 0xffffffff], where its PHYS32_RELOC note lets it be moved");
}

static void test_advice_shim(void **state)
{
	struct fixture f;

	init(&f, MIB(1), KIB(64), MIB(10));
	set_kernel(&f, MIB(16), MIB(80), MIB(9));
	expect_advice(&f, MIB(32), 80,
		"the kernel unpacks itself to 64M from 0x1000000 on, and not all of that is RAM");
	/* Above 4 GiB there is room for an initrd. */
	init(&f, MIB(1), KIB(64), GIB(4));
	set_kernel(&f, MIB(16), MIB(80), MIB(9));
	expect_advice(&f, MIB(32), 7168,
		"the kernel unpacks itself to 64M from 0x1000000 on, and not all of that is RAM");
}

static void test_no_size_would_do(void **state)
{
	struct fixture f;

	init(&f, MIB(16), MIB(16), GIB(3));
	expect_refusal(&f, MIB(512),
		"the initrd of 3072M does not fit beside the kernel's 16M in 512M of memory: "
		"no size of memory would do");
	init(&f, GIB(3), MIB(4), 0);
	set_reloc(&f, MIB(2), 0, MIB(1));
	expect_refusal(&f, MIB(512),
		"the kernel, 4M from 0xc0000000 on, has no place in the guest's RAM, neither there nor in "
		"[0, 0x100000], where its PHYS32_RELOC note lets it be moved: no size of memory would do");
	init(&f, GIB(2048), MIB(4), 0);
	expect_refusal(&f, MIB(512),
		"the kernel's segment [0x20000000000, 0x20000400000) lies outside the guest's RAM: "
		"no size of memory would do");
	/* Nothing is added where the kernel is at fault. */
	init(&f, 0x90000, MIB(4), 0);
	assert_int_equal(plan(&f, MIB(512)), -ENOEXEC);
	assert_string_equal(f.diag.text,
		"the kernel's segment [0x90000, 0x490000) overlaps the start info and the command line "
		"at [0x80000, 0x92000): link it elsewhere, best from 1 MiB upwards");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plan),
		cmocka_unit_test(test_advice_counts_all),
		cmocka_unit_test(test_advice_moved),
		cmocka_unit_test(test_advice_shim),
		cmocka_unit_test(test_no_size_would_do),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
