// SPDX-License-Identifier: MIT
/* test_vmgenid.c - the generation ID: one machine's stays, a copy's is another */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "boot/layout.h"
#include "vm/vm.h"

#include <errno.h>
#include <string.h>

#define AT   (LAYOUT_ACPI + 0x38)
#define SIZE ACPI_VMGENID_SIZE

/* No more of a machine than the ID has to do with. */
struct rig {
	struct vm vm;
	struct irq_chip chip;
	unsigned int n_edges;
	struct diag diag;
};

static void count_edge(struct irq_chip *chip, unsigned int gsi)
{
	struct rig *rig = (struct rig *)((char *)chip - offsetof(struct rig, chip));

	assert_int_equal(gsi, PLATFORM_GED_GSI);
	rig->n_edges++;
}

static void init(struct rig *rig)
{
	static const struct device_ops none;
	struct irq_line line = { &rig->chip, PLATFORM_GED_GSI };

	memset(rig, 0, sizeof(*rig));
	device_init(&rig->chip.dev, "chip", &none);
	rig->chip.raise = count_edge;
	power_init(&rig->vm.power, line, NULL, NULL);
	assert_int_equal(guest_mem_init(&rig->vm.mem, MIB(2)), 0);
	rig->vm.handover.acpi.vmgenid = AT;
}

static void fini(struct rig *rig)
{
	guest_mem_fini(&rig->vm.mem);
	power_fini(&rig->vm.power);
	device_fini(&rig->chip.dev);
}

static int set_up(void **state)
{
	static struct rig rig;

	init(&rig);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	fini(*state);
	return 0;
}

static uint8_t *ram(const struct rig *rig)
{
	return guest_mem_at(&rig->vm.mem, AT - SIZE, 3 * SIZE);
}

/* As the guest sees it; beside it nothing was written. */
static void read_id(const struct rig *rig, uint8_t id[SIZE])
{
	static const uint8_t none[SIZE];
	const uint8_t *p = ram(rig);

	assert_memory_equal(p, none, SIZE);
	assert_memory_equal(p + 2 * SIZE, none, SIZE);
	memcpy(id, p + SIZE, SIZE);
	assert_memory_not_equal(id, none, SIZE);
}

/* What the guest reads of the power block: which events there were. */
static uint64_t events(struct rig *rig)
{
	struct device *dev = &rig->vm.power.dev;

	return dev->ops->read(dev, PLATFORM_PM_EVENTS - PLATFORM_PM_PORT, 1);
}

static void test_stays_through_lives(void **state)
{
	struct rig *rig = *state;
	uint8_t first[SIZE], next[SIZE];

	assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), 0);
	read_id(rig, first);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(guest_mem_reset(&rig->vm.mem), 0);
		assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), 0);
		read_id(rig, next);
		assert_memory_equal(next, first, SIZE);
	}
	assert_int_equal(rig->n_edges, 0);
	assert_int_equal(events(rig), 0);
}

static void test_machines_differ(void **state)
{
	struct rig *rig = *state;
	static struct rig other;
	uint8_t one[SIZE], two[SIZE];

	init(&other);
	assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), 0);
	assert_int_equal(vmgenid_write(&other.vm, &other.diag), 0);
	read_id(rig, one);
	read_id(&other, two);
	assert_memory_not_equal(one, two, SIZE);
	fini(&other);
}

static void test_copy_is_told(void **state)
{
	struct rig *rig = *state;
	uint8_t before[SIZE], after[SIZE], later[SIZE];

	assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), 0);
	read_id(rig, before);
	assert_int_equal(vmgenid_renew(&rig->vm, &rig->diag), 0);
	read_id(rig, after);
	assert_memory_not_equal(after, before, SIZE);
	assert_int_equal(rig->n_edges, 1);
	assert_int_equal(events(rig), PLATFORM_PM_EVENT_VMGENID);
	assert_int_equal(events(rig), 0);
	/* The copy goes on as any machine. */
	assert_int_equal(guest_mem_reset(&rig->vm.mem), 0);
	assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), 0);
	read_id(rig, later);
	assert_memory_equal(later, after, SIZE);
	assert_int_equal(rig->n_edges, 1);
}

/* A machine that was never loaded: its RAM comes from a file, and the address with it.  What the
 * guest had still to hear, it hears.
 */
static void test_copy_from_a_file(void **state)
{
	struct rig *rig = *state;
	uint8_t saved[SIZE], id[SIZE];

	memset(saved, 0x5a, SIZE);
	memcpy(ram(rig) + SIZE, saved, SIZE);
	power_press_button(&rig->vm.power);
	assert_int_equal(vmgenid_renew(&rig->vm, &rig->diag), 0);
	read_id(rig, id);
	assert_memory_not_equal(id, saved, SIZE);
	assert_int_equal(rig->n_edges, 2);
	assert_int_equal(events(rig), PLATFORM_PM_EVENT_POWER | PLATFORM_PM_EVENT_VMGENID);
}

static void test_address_is_not_believed(void **state)
{
	static const gpa_t row[] = { MIB(2), MIB(2) - 8, GUEST_MEM_HIGH_BASE, UINT64_MAX - 7 };
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		rig->vm.handover.acpi.vmgenid = row[i];
		assert_int_equal(vmgenid_renew(&rig->vm, &rig->diag), -EFAULT);
		assert_int_equal(vmgenid_write(&rig->vm, &rig->diag), -EFAULT);
	}
	assert_string_equal(rig->diag.text, "the generation ID's address, 0xfffffffffffffff8, is "
					    "not in the guest's RAM");
	assert_int_equal(rig->n_edges, 0);
	assert_int_equal(events(rig), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_stays_through_lives),
		TEST(test_machines_differ),
		TEST(test_copy_is_told),
		TEST(test_copy_from_a_file),
		TEST(test_address_is_not_believed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
