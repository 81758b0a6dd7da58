// SPDX-License-Identifier: MIT
/* test_ioapic.c - interrupt lines in, messages out */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/ioapic.h"

#include <errno.h>
#include <string.h>

#define LOW(pin)  (0x10 + 2 * (pin))
#define HIGH(pin) (0x11 + 2 * (pin))
#define LAST      (PLATFORM_N_GSIS - 1)
#define MASKED    0x10000u

struct rig {
	struct ioapic ioapic;
	unsigned int n_messages;
	uint64_t address;
	uint32_t data;
	int answer;
};

static int take_message(void *ctx, uint64_t address, uint32_t data)
{
	struct rig *rig = ctx;

	rig->n_messages++;
	rig->address = address;
	rig->data = data;
	return rig->answer;
}

static int set_up(void **state)
{
	static struct rig rig;

	memset(&rig, 0, sizeof(rig));
	ioapic_init(&rig.ioapic, PLATFORM_N_GSIS, take_message, &rig);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	ioapic_fini(&((struct rig *)*state)->ioapic);
	return 0;
}

static uint32_t get(struct rig *rig, uint32_t reg)
{
	struct device *dev = &rig->ioapic.chip.dev;

	dev->ops->write(dev, 0, 4, reg);
	return (uint32_t)dev->ops->read(dev, 0x10, 4);
}

static void set(struct rig *rig, uint32_t reg, uint32_t value)
{
	struct device *dev = &rig->ioapic.chip.dev;

	dev->ops->write(dev, 0, 4, reg);
	dev->ops->write(dev, 0x10, 4, value);
}

static void raise_pin(struct rig *rig, unsigned int pin)
{
	struct irq_line line = { &rig->ioapic.chip, pin };

	irq_raise(&line);
}

static void test_identity(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get(rig, 1), 0x11 | (PLATFORM_N_GSIS - 1) << 16);
	assert_int_equal(get(rig, 0), 0);
	set(rig, 0, 0xffffffff);
	assert_int_equal(get(rig, 0), 0x0f000000);
	assert_int_equal(get(rig, 2), 0x0f000000);
	set(rig, 1, 0); /* read-only */
	assert_int_equal(get(rig, 1), 0x11 | (PLATFORM_N_GSIS - 1) << 16);
}

static void test_masked_at_first(void **state)
{
	struct rig *rig = *state;

	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++) {
		assert_int_equal(get(rig, LOW(pin)), MASKED);
		assert_int_equal(get(rig, HIGH(pin)), 0);
		raise_pin(rig, pin);
	}
	assert_int_equal(rig->n_messages, 0);
}

static void test_message(void **state)
{
	struct rig *rig = *state;

	set(rig, HIGH(1), 0x03000000);
	set(rig, LOW(1), 0x31);
	raise_pin(rig, 2);
	assert_int_equal(rig->n_messages, 0);
	raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 1);
	assert_int_equal(rig->address, 0xfee03000);
	assert_int_equal(rig->data, 0x31);
	raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 2);
	set(rig, LOW(1), MASKED | 0x31);
	raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 2);
}

static void test_logical_lowest_priority(void **state)
{
	struct rig *rig = *state;

	set(rig, HIGH(LAST), 0xff000000);
	set(rig, LOW(LAST), 1u << 11 | 1u << 8 | 0xd1);
	raise_pin(rig, LAST);
	assert_int_equal(rig->address, 0xfeeff004);
	assert_int_equal(rig->data, 0x1d1);
}

/* COM1's line ends in two pins; the one that every PC has is not counted, and is nobody else's. */
static void test_serial_has_its_old_pin_too(void **state)
{
	struct rig *rig = *state;

	set(rig, LOW(4), 0x41);
	raise_pin(rig, PLATFORM_SERIAL_GSI);
	assert_int_equal(rig->n_messages, 1);
	assert_int_equal(rig->data, 0x41);
	for (unsigned int gsi = 0; gsi < 8; gsi++)
		if (gsi != PLATFORM_SERIAL_GSI)
			raise_pin(rig, gsi);
	assert_int_equal(rig->n_messages, 1);
	set(rig, LOW(4), MASKED);
	set(rig, LOW(PLATFORM_SERIAL_GSI), 0x31);
	raise_pin(rig, PLATFORM_SERIAL_GSI);
	assert_int_equal(rig->n_messages, 2);
	assert_int_equal(rig->data, 0x31);
}

/* Trigger mode and polarity are the guest's to set, and change nothing: each raise is one message.
 */
static void test_level_is_delivered_like_an_edge(void **state)
{
	struct rig *rig = *state;

	set(rig, LOW(1), 1u << 15 | 1u << 13 | 0x31);
	assert_int_equal(get(rig, LOW(1)), 1u << 15 | 1u << 13 | 0x31);
	raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 1);
	assert_int_equal(rig->data, 0x31);
}

static void test_read_only_bits(void **state)
{
	struct rig *rig = *state;

	set(rig, LOW(0), MASKED | 1u << 12 | 1u << 14 | 0x20);
	assert_int_equal(get(rig, LOW(0)), MASKED | 0x20);
	set(rig, HIGH(0), 0x12345678);
	assert_int_equal(get(rig, LOW(0)), MASKED | 0x20);
	assert_int_equal(get(rig, HIGH(0)), 0x12345678);
}

/* Every offset, width and register: nothing but the window answers, nothing is hurt. */
static void test_wild_access(void **state)
{
	struct rig *rig = *state;
	struct device *dev = &rig->ioapic.chip.dev;

	for (uint32_t reg = 0; reg < 512; reg++) {
		set(rig, reg, MASKED | reg);
		get(rig, reg);
	}
	assert_int_equal(get(rig, LOW(PLATFORM_MAX_GSIS)), 0);
	assert_int_equal(get(rig, 0xff), 0);
	assert_int_equal(get(rig, 5), 0);
	for (uint64_t offset = 0; offset < PLATFORM_IOAPIC_SIZE; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2) {
			uint64_t value = dev->ops->read(dev, offset, size);

			if (offset != 0 && offset != 0x10)
				assert_int_equal(value, 0);
			dev->ops->write(dev, offset, size, UINT64_MAX);
		}
	raise_pin(rig, PLATFORM_N_GSIS);
	raise_pin(rig, UINT32_MAX);
	assert_int_equal(rig->n_messages, 0);
}

/* A message that no CPU takes is the guest's affair. */
static void test_refused_message(void **state)
{
	struct rig *rig = *state;

	rig->answer = -EINVAL;
	set(rig, LOW(1), 0x31);
	for (int i = 0; i < 3; i++)
		raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_masked_at_first),
		TEST(test_message),
		TEST(test_logical_lowest_priority),
		TEST(test_serial_has_its_old_pin_too),
		TEST(test_level_is_delivered_like_an_edge),
		TEST(test_read_only_bits),
		TEST(test_wild_access),
		TEST(test_refused_message),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
