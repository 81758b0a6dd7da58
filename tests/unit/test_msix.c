// SPDX-License-Identifier: MIT
/* test_msix.c - messages: masked, pending, sent; and a table that a hostile guest writes */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/msix.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define N       3
#define ENABLE  PCI_MSIX_FLAGS_ENABLE
#define MASKALL PCI_MSIX_FLAGS_MASKALL

struct rig {
	struct pci pci;
	struct device dev, control;
	struct pci_function function;
	struct msix msix;
	unsigned int n_sent;
	uint64_t address;
	uint32_t data;
};

static struct rig rig;

static int send(void *ctx, uint64_t address, uint32_t data)
{
	assert_ptr_equal(ctx, &rig);
	rig.n_sent++;
	rig.address = address;
	rig.data = data;
	return -EINVAL; /* it names no CPU: nobody's business */
}

static void written(struct pci_function *, unsigned int, unsigned int)
{
	msix_config_written(&rig.msix);
}

static const struct pci_ops ops = { .written = written };

static int set_up(void **)
{
	static const struct pci_id id = { .vendor = 1 };
	static const struct device_ops none;

	memset(&rig, 0, sizeof(rig));
	device_init(&rig.dev, "function", &none);
	device_init(&rig.control, "control", &none);
	pci_init(&rig.pci, &rig.control);
	pci_function_init(&rig.function, &id, &rig.dev, &ops);
	pci_set_bar(&rig.function, 0xc0000000, 0x1000);
	msix_init(&rig.msix, &rig.function, N, 0x400, 0x800, send, &rig);
	pci_add(&rig.pci, 1, &rig.function);
	return 0;
}

static int tear_down(void **)
{
	pci_fini(&rig.pci);
	device_fini(&rig.control);
	device_fini(&rig.dev);
	return 0;
}

static void set_control(uint16_t value)
{
	pci_write(&rig.pci, 1, rig.msix.capability + PCI_MSIX_FLAGS, 2, value);
}

static uint16_t control(void)
{
	return (uint16_t)pci_read(&rig.pci, 1, rig.msix.capability + PCI_MSIX_FLAGS, 2);
}

static void fill(unsigned int vector, bool masked)
{
	msix_write_table(&rig.msix, 16 * vector, 4, 0xfee01000 + (vector << 2));
	msix_write_table(&rig.msix, 16 * vector + 4, 4, vector);
	msix_write_table(&rig.msix, 16 * vector + 8, 4, 0x40 + vector);
	msix_write_table(&rig.msix, 16 * vector + 12, 4, masked);
}

static void expect_sent(unsigned int n, unsigned int vector)
{
	assert_int_equal(rig.n_sent, n);
	assert_true(rig.address == ((uint64_t)vector << 32 | (0xfee01000 + (vector << 2))));
	assert_int_equal(rig.data, 0x40 + vector);
}

static uint64_t pending(void)
{
	return msix_read_pending(&rig.msix, 0, 8);
}

static void test_capability(void **)
{
	unsigned int at = rig.msix.capability;

	assert_int_equal(pci_read(&rig.pci, 1, at, 1), PCI_CAP_ID_MSIX);
	assert_int_equal(control(), N - 1);
	assert_int_equal(pci_read(&rig.pci, 1, at + PCI_MSIX_TABLE, 4), 0x400);
	assert_int_equal(pci_read(&rig.pci, 1, at + PCI_MSIX_PBA, 4), 0x800);
	set_control(0xffff);
	assert_int_equal(control(), ENABLE | MASKALL | (N - 1));
	pci_write(&rig.pci, 1, at + PCI_MSIX_TABLE, 8, 0);
	assert_int_equal(pci_read(&rig.pci, 1, at + PCI_MSIX_TABLE, 4), 0x400);
}

/* To begin with all is masked, so that who masks it again costs nothing. */
static void test_fresh(void **)
{
	for (unsigned int i = 0; i < N; i++) {
		assert_int_equal(msix_read_table(&rig.msix, 16 * i, 8), 0);
		assert_true(msix_read_table(&rig.msix, 16 * i + 8, 8) == 1ull << 32);
	}
	msix_signal(&rig.msix, 0); /* not enabled: no message, nothing to keep */
	set_control(ENABLE);
	assert_int_equal(pending(), 0);
	assert_int_equal(rig.n_sent, 0);
}

static void test_sent_as_the_entry_says(void **)
{
	set_control(ENABLE);
	for (unsigned int i = 0; i < N; i++) {
		fill(i, false);
		msix_signal(&rig.msix, i);
		expect_sent(i + 1, i);
	}
	msix_signal(&rig.msix, N);
	msix_signal(&rig.msix, 0xffff);
	assert_int_equal(rig.n_sent, N);
}

static void test_masked_is_kept(void **)
{
	set_control(ENABLE);
	fill(1, true);
	msix_signal(&rig.msix, 1);
	msix_signal(&rig.msix, 1);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(pending(), 2);
	assert_int_equal(msix_read_pending(&rig.msix, 0, 1), 2);
	fill(1, false);
	expect_sent(1, 1);
	assert_int_equal(pending(), 0);
	fill(1, true);
	fill(1, false);
	assert_int_equal(rig.n_sent, 1);
}

/* Linux enables with all masked, writes the entries, unmasks each, then all. */
static void test_function_mask(void **)
{
	set_control(ENABLE | MASKALL);
	fill(0, false);
	fill(2, false);
	msix_signal(&rig.msix, 0);
	msix_signal(&rig.msix, 1);
	assert_int_equal(rig.n_sent, 0);
	assert_int_equal(pending(), 3);
	set_control(ENABLE);
	expect_sent(1, 0);
	assert_int_equal(pending(), 2); /* its own mask holds it */
	fill(1, false);
	expect_sent(2, 1);
}

static void test_disabled_holds_all(void **)
{
	set_control(ENABLE | MASKALL);
	fill(0, false);
	msix_signal(&rig.msix, 0);
	set_control(0);
	fill(0, false);
	assert_int_equal(rig.n_sent, 0);
	set_control(ENABLE);
	expect_sent(1, 0);
}

static void test_widths(void **)
{
	set_control(ENABLE);
	msix_write_table(&rig.msix, 16, 8, 0x00000002fee01234);
	msix_write_table(&rig.msix, 24, 8, 0xfffffffe00000077);
	assert_true(msix_read_table(&rig.msix, 16, 8) == 0x00000002fee01234);
	assert_true(msix_read_table(&rig.msix, 24, 8) == 0x77);
	msix_signal(&rig.msix, 1);
	assert_int_equal(rig.n_sent, 1);
	assert_int_equal(rig.data, 0x77);
	msix_write_table(&rig.msix, 16, 1, 0xff);
	msix_write_table(&rig.msix, 16, 2, 0xffff);
	msix_write_table(&rig.msix, 18, 4, 0xffffffff);
	msix_write_table(&rig.msix, 20, 8, UINT64_MAX);
	assert_true(msix_read_table(&rig.msix, 16, 8) == 0x00000002fee01234);
	assert_int_equal(msix_read_table(&rig.msix, 17, 1), 0x12);
	assert_int_equal(msix_read_table(&rig.msix, 18, 2), 0xfee0);
	msix_write_table(&rig.msix, 16, 4, 0xffffffff);
	assert_int_equal(msix_read_table(&rig.msix, 16, 4), 0xfffffffc);
}

static void test_beyond_the_end(void **)
{
	struct msix before = rig.msix;

	for (uint64_t offset = 16 * N - 3; offset < 16 * N + 64; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			if (offset + size <= 16 * N)
				continue;
			msix_write_table(&rig.msix, offset, size, UINT64_MAX);
			assert_int_equal(msix_read_table(&rig.msix, offset, size), 0);
			assert_int_equal(msix_read_pending(&rig.msix, offset, size), 0);
		}
	msix_write_table(&rig.msix, UINT64_MAX - 7, 8, 0);
	assert_memory_equal(&rig.msix, &before, sizeof(before));
}

static void test_reset(void **)
{
	set_control(ENABLE);
	fill(0, false);
	fill(1, true);
	msix_signal(&rig.msix, 1);
	msix_reset(&rig.msix);
	assert_int_equal(pending(), 0);
	set_control(0);
	test_fresh(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_capability),
		TEST(test_fresh),
		TEST(test_sent_as_the_entry_says),
		TEST(test_masked_is_kept),
		TEST(test_function_mask),
		TEST(test_disabled_holds_all),
		TEST(test_widths),
		TEST(test_beyond_the_end),
		TEST(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
