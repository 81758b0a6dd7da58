// SPDX-License-Identifier: MIT
/* test_power.c - sleep, reset, power button, timer, marks */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/platform.h"
#include "dev/power.h"

#include <stdbool.h>
#include <string.h>

#define REG(port) ((port)-PLATFORM_PM_PORT)

struct rig {
	struct irq_chip chip;
	struct power power;
	unsigned int n_edges, n_poweroffs, n_resets, n_marks, n_saves;
	uint8_t mark;
	uint64_t now_ns;
};

static void count_edge(struct irq_chip *chip, unsigned int gsi)
{
	assert_int_equal(gsi, PLATFORM_GED_GSI);
	((struct rig *)chip)->n_edges++;
}

static void poweroff(void *ctx)
{
	((struct rig *)ctx)->n_poweroffs++;
}

static void reset(void *ctx)
{
	((struct rig *)ctx)->n_resets++;
}

static void mark(void *ctx, uint8_t value)
{
	((struct rig *)ctx)->n_marks++;
	((struct rig *)ctx)->mark = value;
}

static void save(void *ctx)
{
	((struct rig *)ctx)->n_saves++;
}

static uint64_t now(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static const struct power_ops ops = { poweroff, reset, mark, now, save };

static int set_up(void **state)
{
	static struct rig rig;
	static const struct device_ops none;
	struct irq_line line = { &rig.chip, PLATFORM_GED_GSI };

	memset(&rig, 0, sizeof(rig));
	device_init(&rig.chip.dev, "chip", &none);
	rig.chip.raise = count_edge;
	power_init(&rig.power, line, &ops, &rig);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	power_fini(&rig->power);
	device_fini(&rig->chip.dev);
	return 0;
}

static uint64_t get(struct rig *rig, uint64_t reg)
{
	return rig->power.dev.ops->read(&rig->power.dev, reg, 1);
}

static void set(struct rig *rig, uint64_t reg, uint64_t value)
{
	rig->power.dev.ops->write(&rig->power.dev, reg, 1, value);
}

/* Of all 256 values, those with SLP_EN and SLP_TYP 5, whatever the other bits. */
static void test_sleep_control(void **state)
{
	struct rig *rig = *state;

	for (unsigned int value = 0; value < 256; value++) {
		bool s5 = value & 0x20 && (value >> 2 & 7) == PLATFORM_PM_S5_TYPE;

		rig->n_poweroffs = 0;
		set(rig, REG(PLATFORM_PM_SLEEP_CTL), value);
		assert_int_equal(rig->n_poweroffs, s5);
	}
	assert_int_equal(rig->n_resets + rig->n_marks + rig->n_edges, 0);
}

static void test_reset_value(void **state)
{
	struct rig *rig = *state;

	for (unsigned int value = 0; value < 256; value++)
		set(rig, REG(PLATFORM_PM_RESET), value);
	assert_int_equal(rig->n_resets, 1);
	set(rig, REG(PLATFORM_PM_RESET), PLATFORM_PM_RESET_VALUE);
	assert_int_equal(rig->n_resets, 2);
	assert_int_equal(rig->n_poweroffs, 0);
}

static void test_button(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
	power_press_button(&rig->power);
	assert_int_equal(rig->n_edges, 1);
	power_press_button(&rig->power); /* not taken yet: again */
	assert_int_equal(rig->n_edges, 2);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), PLATFORM_PM_EVENT_POWER);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
	set(rig, REG(PLATFORM_PM_EVENTS), 0xff); /* read-only */
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
}

/* One read has what has happened since the last. */
static void test_events(void **state)
{
	struct rig *rig = *state;

	power_tell_vmgenid(&rig->power);
	assert_int_equal(rig->n_edges, 1);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), PLATFORM_PM_EVENT_VMGENID);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
	power_press_button(&rig->power);
	power_tell_vmgenid(&rig->power);
	assert_int_equal(rig->n_edges, 3);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)),
		PLATFORM_PM_EVENT_POWER | PLATFORM_PM_EVENT_VMGENID);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
	power_tell_vmgenid(&rig->power);
	rig->power.dev.ops->reset(&rig->power.dev);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), 0);
}

static void test_marks(void **state)
{
	struct rig *rig = *state;

	set(rig, REG(PLATFORM_PM_MARK), 0x1ff);
	assert_int_equal(rig->n_marks, 1);
	assert_int_equal(rig->mark, 0xff);
}

/* Whatever is written; and bytes that are not all the same. */
static void test_save(void **state)
{
	struct rig *rig = *state;
	uint64_t any = 0, all = 0xff;

	set(rig, REG(PLATFORM_PM_SAVE), 0);
	set(rig, REG(PLATFORM_PM_SAVE), 0xff);
	assert_int_equal(rig->n_saves, 2);
	for (unsigned int i = 0; i < 64; i++) {
		any |= get(rig, REG(PLATFORM_PM_SAVE));
		all &= get(rig, REG(PLATFORM_PM_SAVE));
	}
	assert_int_not_equal(any, 0);
	assert_int_not_equal(all, 0xff);
}

/* A copy's goes on from there, whatever its host's clock says. */
static void test_timer_of_a_copy(void **state)
{
	struct rig *rig = *state;
	struct state_writer writer;
	struct state_reader reader;
	struct diag diag;

	rig->now_ns = 5000000000;
	power_press_button(&rig->power);
	state_begin(&writer, (const uint8_t[STATE_ID_SIZE]){ 1 });
	power_saving(&rig->power);
	state_save(&writer, &power_state, 0, &rig->power);
	assert_int_equal(state_finish(&writer), 0);

	rig->now_ns = 7;
	rig->power.events = 0;
	assert_int_equal(state_open(&reader, writer.data, writer.size, &diag), 0);
	assert_int_equal(power_load(&rig->power, &reader, &diag), 0);
	state_close(&reader);
	state_free(&writer);
	assert_int_equal(get(rig, REG(PLATFORM_PM_TIMER)), 5 * 3579545);
	rig->now_ns += 1000000000;
	assert_int_equal(get(rig, REG(PLATFORM_PM_TIMER)), 6 * 3579545);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), PLATFORM_PM_EVENT_POWER);
}

/* 3.579545 MHz, 32 bits, to the tick and for as long as a host is up. */
static void test_timer(void **state)
{
	static const struct {
		uint64_t ns;
		uint32_t ticks;
	} row[] = {
		{ 0, 0 },
		{ 279, 0 },
		{ 280, 1 },
		{ 1000000000, 3579545 },
		{ 1199864031, 4294967 },
		{ 1199864031881, 4294967295 },
		{ 1199864031882, 0 },
		{ UINT64_C(100) * 365 * 86400 * 1000000000,
			(uint32_t)(UINT64_C(3153600000) * 3579545) },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		rig->now_ns = row[i].ns;
		assert_int_equal(get(rig, REG(PLATFORM_PM_TIMER)), row[i].ticks);
	}
	set(rig, REG(PLATFORM_PM_TIMER), 0);
	assert_int_equal(get(rig, REG(PLATFORM_PM_TIMER)), row[7].ticks);
}

static void test_other_registers(void **state)
{
	struct rig *rig = *state;

	power_press_button(&rig->power);
	for (uint64_t reg = 0; reg < PLATFORM_PM_PORT_SIZE; reg++)
		if (reg != REG(PLATFORM_PM_EVENTS) && reg != REG(PLATFORM_PM_SAVE))
			assert_int_equal(get(rig, reg), 0);
	assert_int_equal(get(rig, REG(PLATFORM_PM_EVENTS)), PLATFORM_PM_EVENT_POWER);
	for (uint64_t reg = 3; reg < PLATFORM_PM_PORT_SIZE; reg++)
		if (reg != REG(PLATFORM_PM_MARK) && reg != REG(PLATFORM_PM_SAVE))
			set(rig, reg, PLATFORM_PM_S5_TYPE << 2 | 0x20 | PLATFORM_PM_RESET_VALUE);
	assert_int_equal(rig->n_poweroffs + rig->n_resets + rig->n_marks + rig->n_saves, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_sleep_control),
		TEST(test_reset_value),
		TEST(test_button),
		TEST(test_events),
		TEST(test_marks),
		TEST(test_save),
		TEST(test_timer),
		TEST(test_timer_of_a_copy),
		TEST(test_other_registers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
