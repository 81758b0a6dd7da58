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

/* Trigger mode and polarity are the guest's to set.  Each raise is one message. */
static void test_level_is_delivered_like_an_edge(void **state)
{
	struct rig *rig = *state;

	set(rig, LOW(1), 1u << 15 | 1u << 13 | 0x31);
	assert_int_equal(get(rig, LOW(1)), 1u << 15 | 1u << 13 | 0x31);
	raise_pin(rig, 1);
	assert_int_equal(rig->n_messages, 1);
	assert_int_equal(rig->data, 0x31);
}

/* What comes while a pin is masked is there afterwards, once, if the pin is level-triggered. */
static void test_level_outlasts_the_mask(void **state)
{
	const uint32_t level = 1u << 15 | 0x31, edge = 0x31;
	struct rig *rig = *state;

	set(rig, LOW(1), MASKED | level);
	raise_pin(rig, 1);
	raise_pin(rig, 1);
	set(rig, HIGH(1), 0x02000000);
	assert_int_equal(rig->n_messages, 0);
	set(rig, LOW(1), level);
	assert_int_equal(rig->n_messages, 1);
	assert_int_equal(rig->data, 0x31);
	assert_int_equal(rig->address, 0xfee02000);
	set(rig, LOW(1), MASKED | level);
	set(rig, LOW(1), level);
	assert_int_equal(rig->n_messages, 1);
	set(rig, LOW(1), MASKED | edge);
	raise_pin(rig, 1);
	set(rig, LOW(1), edge);
	set(rig, LOW(1), MASKED | level);
	set(rig, LOW(1), level);
	assert_int_equal(rig->n_messages, 1);
}

static void test_level_is_forgotten_by_a_reset(void **state)
{
	struct rig *rig = *state;
	struct device *dev = &rig->ioapic.chip.dev;

	raise_pin(rig, 1);
	dev->ops->reset(dev);
	set(rig, LOW(1), 1u << 15 | 0x31);
	assert_int_equal(rig->n_messages, 0);
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
	raise_pin(rig, PLATFORM_MAX_GSIS);
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

/* ---- what raises a pin without us ---- */

static struct {
	unsigned int n_sets;
	struct message message[2];
	bool bound[2];
} kernel;

static int set_routes(void *ctx, const struct message_route *route, unsigned int n)
{
	assert_ptr_equal(ctx, &kernel);
	kernel.n_sets++;
	for (unsigned int i = 0; i < n; i++)
		kernel.message[route[i].number] = route[i].message;
	return 0;
}

static int bind_irqfd(void *, unsigned int number, int fd, bool on)
{
	assert_int_equal(fd, 10 + number);
	assert_int_equal(kernel.bound[number], !on);
	kernel.bound[number] = on;
	return 0;
}

static void test_irqfds(void **state)
{
	static const struct irqfd_ops ops = { .set_routes = set_routes, .bind = bind_irqfd };
	struct rig *rig = *state;
	struct irq_chip *chip = &rig->ioapic.chip;
	struct irqfd second = { .fd = 11, .route = 1 };
	struct irqfd first = { .fd = 10, .route = 0, .next = &second };

	memset(&kernel, 0, sizeof(kernel));
	first.is_wanted = true;
	chip->connect(chip, LAST, &first, &ops, &kernel);
	assert_false(kernel.bound[0]); /* it is masked */
	set(rig, HIGH(LAST), 0x03000000);
	set(rig, LOW(LAST), 0x51);
	assert_true(kernel.bound[0] && !kernel.bound[1]);
	assert_int_equal(kernel.n_sets, 1);
	assert_true(kernel.message[0].address == 0xfee03000 && kernel.message[0].data == 0x51);
	/* Another pin is none of theirs. */
	set(rig, LOW(LAST - 1), 0x61);
	assert_int_equal(kernel.n_sets, 1);
	second.is_wanted = true;
	chip->connect(chip, LAST, &first, &ops, &kernel);
	assert_true(kernel.bound[0] && kernel.bound[1]);
	assert_int_equal(kernel.message[1].data, 0x51);
	/* Moved to another CPU; masked and back, as it was. */
	set(rig, HIGH(LAST), 0x01000000);
	assert_int_equal(kernel.n_sets, 3);
	for (unsigned int i = 0; i < 2; i++)
		assert_true(kernel.message[i].address == 0xfee01000);
	set(rig, LOW(LAST), MASKED | 0x51);
	assert_true(!kernel.bound[0] && !kernel.bound[1]);
	set(rig, LOW(LAST), 0x51);
	assert_true(kernel.bound[0] && kernel.bound[1]);
	assert_int_equal(kernel.n_sets, 3);
	first.is_wanted = false;
	chip->connect(chip, LAST, &first, &ops, &kernel);
	assert_true(!kernel.bound[0] && kernel.bound[1]);
	chip->dev.ops->reset(&chip->dev);
	assert_true(!kernel.bound[0] && !kernel.bound[1]);
	assert_int_equal(rig->n_messages, 0);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_identity),
		TEST(test_masked_at_first),
		TEST(test_message),
		TEST(test_logical_lowest_priority),
		TEST(test_serial_has_its_old_pin_too),
		TEST(test_level_is_delivered_like_an_edge),
		TEST(test_level_outlasts_the_mask),
		TEST(test_level_is_forgotten_by_a_reset),
		TEST(test_read_only_bits),
		TEST(test_wild_access),
		TEST(test_refused_message),
		TEST(test_irqfds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
