// SPDX-License-Identifier: MIT
/* test_words.c - words on a kernel's command line */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/words.h"

#include <stdlib.h>

static void test_found(void **)
{
	assert_string_equal(words_find_fatal("acpi=off"), "acpi=off");
	assert_string_equal(words_find_fatal("console=ttyS0 nolapic\tquiet"), "nolapic");
	assert_string_equal(words_find_fatal("  \n noapic\n"), "noapic");
	assert_string_equal(words_find_fatal("maxcpus=0"), "maxcpus=0");
	assert_string_equal(words_find_fatal("nosmp"), "nosmp");
	assert_string_equal(words_find_fatal("a nolapic acpi=off -- x"), "nolapic");
}

/* Parts of words are other words; behind -- is what init gets. */
static void test_not_found(void **)
{
	static const char *const fine[] = { "", " ", "acpi=offline", "xacpi=off", "acpi=of",
		"nolapic_timer", "maxcpus=01", "apic", "lapic=acpi=off", "-- acpi=off",
		"a=1 -- nolapic" };

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		assert_null(words_find_fatal(fine[i]));
	assert_string_equal(words_find_fatal("--x acpi=off"), "acpi=off");
}

static void expect_named(const char *cmdline, unsigned int n, const char *wanted)
{
	char *text = words_name_slots(cmdline, n);

	assert_non_null(text);
	assert_string_equal(text, wanted);
	free(text);
}

#define SLOT0 "virtio_mmio.device=4K@0xc0001000:5"
#define SLOT1 "virtio_mmio.device=4K@0xc0002000:6"

static void test_slots_are_named(void **)
{
	expect_named("", 1, SLOT0);
	expect_named("quiet", 1, "quiet " SLOT0);
	expect_named("quiet ", 2, "quiet " SLOT0 " " SLOT1);
	expect_named("quiet -- -x", 2, "quiet " SLOT0 " " SLOT1 " -- -x");
	expect_named("-- -x", 1, SLOT0 " -- -x");
	expect_named("--quiet", 1, "--quiet " SLOT0);
	expect_named("a", 19,
		"a " SLOT0 " " SLOT1
		" virtio_mmio.device=4K@0xc0003000:7 virtio_mmio.device=4K@0xc0004000:8"
		" virtio_mmio.device=4K@0xc0005000:9 virtio_mmio.device=4K@0xc0006000:10"
		" virtio_mmio.device=4K@0xc0007000:11 virtio_mmio.device=4K@0xc0008000:12"
		" virtio_mmio.device=4K@0xc0009000:13 virtio_mmio.device=4K@0xc000a000:14"
		" virtio_mmio.device=4K@0xc000b000:15 virtio_mmio.device=4K@0xc000c000:16"
		" virtio_mmio.device=4K@0xc000d000:17 virtio_mmio.device=4K@0xc000e000:18"
		" virtio_mmio.device=4K@0xc000f000:19 virtio_mmio.device=4K@0xc0010000:20"
		" virtio_mmio.device=4K@0xc0011000:21 virtio_mmio.device=4K@0xc0012000:22"
		" virtio_mmio.device=4K@0xc0013000:23");
}

static void test_pci_off(void **)
{
	assert_true(words_turn_pci_off("pci=off"));
	assert_true(words_turn_pci_off("a  pci=off b"));
	assert_true(words_turn_pci_off("pci=noacpi,off"));
	assert_true(words_turn_pci_off("pci=off,noacpi x"));
	assert_false(words_turn_pci_off(""));
	assert_false(words_turn_pci_off("pci=offset"));
	assert_false(words_turn_pci_off("pci=nooff,x off"));
	assert_false(words_turn_pci_off("xpci=off"));
	assert_false(words_turn_pci_off("-- pci=off"));
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_slots_are_named),
		cmocka_unit_test(test_pci_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
