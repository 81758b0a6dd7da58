// SPDX-License-Identifier: MIT
/* test_platform_state.c - what every machine has, saved and loaded: I/O APIC, serial port, power,
 * clock
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "bus/platform.h"
#include "dev/ioapic.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "state_rig.h"

#include <errno.h>
#include <linux/serial_reg.h>
#include <stdlib.h>

struct rig {
	struct irq_chip chip;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct rtc rtc;
	unsigned int n_edges, n_messages;
	uint32_t data;
	uint64_t now_ns;
	char sent[32];
	size_t n_sent, room;
};

/* ---- what they ask for ---- */

static void count_edge(struct irq_chip *chip, unsigned int gsi)
{
	((struct rig *)chip)->n_edges++;
}

static int take_message(void *ctx, uint64_t address, uint32_t data)
{
	((struct rig *)ctx)->n_messages++;
	((struct rig *)ctx)->data = data;
	return 0;
}

static bool send(void *ctx, uint8_t byte)
{
	struct rig *rig = ctx;

	rig->sent[rig->n_sent++] = (char)byte;
	return --rig->room > 0;
}

static bool can_send(void *ctx)
{
	return ((struct rig *)ctx)->room > 0;
}

static void want_input(void *ctx)
{
}

static void nothing(void *ctx)
{
}

static void no_mark(void *ctx, uint8_t mark)
{
}

static uint64_t now(void *ctx)
{
	return ((struct rig *)ctx)->now_ns;
}

static const struct serial_ops serial_ops = { send, can_send, want_input };
static const struct power_ops power_ops = { nothing, nothing, no_mark, now, nothing };

/* ---- a machine ---- */

static struct rig *make(uint64_t now_ns)
{
	static const struct device_ops none;
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->now_ns = now_ns;
	rig->room = sizeof(rig->sent);
	device_init(&rig->chip.dev, "chip", &none);
	rig->chip.raise = count_edge;
	ioapic_init(&rig->ioapic, PLATFORM_N_GSIS, take_message, rig);
	serial_init(&rig->serial, (struct irq_line){ &rig->chip, 4 }, &serial_ops, rig);
	power_init(&rig->power, (struct irq_line){ &rig->chip, 1 }, &power_ops, rig);
	rtc_init(&rig->rtc, now, rig);
	return rig;
}

static void drop(struct rig *rig)
{
	ioapic_fini(&rig->ioapic);
	serial_fini(&rig->serial);
	power_fini(&rig->power);
	rtc_fini(&rig->rtc);
	device_fini(&rig->chip.dev);
	free(rig);
}

static int set_up(void **state)
{
	*state = make(1000000000);
	return 0;
}

static int tear_down(void **state)
{
	drop(*state);
	return 0;
}

static struct state_writer save(struct rig *rig)
{
	struct state_writer file = rig_file();

	serial_quiesce(&rig->serial);
	power_saving(&rig->power);
	state_save(&file, &ioapic_state, 0, &rig->ioapic);
	state_save(&file, &serial_state, 0, &rig->serial);
	state_save(&file, &power_state, 0, &rig->power);
	state_save(&file, &rtc_state, 0, &rig->rtc);
	assert_int_equal(state_finish(&file), 0);
	return file;
}

static int load(struct rig *rig, const struct state_writer *file, struct diag *diag)
{
	struct state_reader reader = rig_open_file(file);
	int ret = ioapic_load(&rig->ioapic, &reader, diag);

	if (!ret)
		ret = serial_load(&rig->serial, &reader, diag);
	if (!ret)
		ret = power_load(&rig->power, &reader, diag);
	if (!ret)
		ret = rtc_load(&rig->rtc, &reader, diag);
	if (!ret)
		ret = state_check_all_loaded(&reader, diag);
	state_close(&reader);
	return ret;
}

/* One that goes on when the clock of its host, another, shows this. */
static struct rig *copy_of(struct rig *rig, uint64_t now_ns)
{
	struct state_writer file = save(rig);
	struct rig *copy = make(now_ns);
	struct diag diag;

	if (load(copy, &file, &diag))
		fail_msg("%s", diag.text);
	serial_quiesce(&copy->serial);
	serial_resume(&copy->serial);
	state_free(&file);
	return copy;
}

static uint64_t get(struct device *dev, unsigned int at, unsigned int size)
{
	return dev->ops->read(dev, at, size);
}

static void set(struct device *dev, unsigned int at, unsigned int size, uint64_t value)
{
	dev->ops->write(dev, at, size, value);
}

/* ---- the I/O APIC ---- */

static void set_register(struct rig *rig, uint32_t reg, uint32_t value)
{
	set(&rig->ioapic.chip.dev, 0, 4, reg);
	set(&rig->ioapic.chip.dev, 0x10, 4, value);
}

static void test_ioapic(void **state)
{
	struct rig *rig = *state, *copy;

	set_register(rig, 0x10 + 2 * 1, 0x41);                       /* an edge */
	set_register(rig, 0x10 + 2 * 2, 1u << 15 | 1u << 16 | 0x42); /* a level, masked */
	set_register(rig, 0, 3u << 24);
	rig->ioapic.chip.raise(&rig->ioapic.chip, 2);
	set(&rig->ioapic.chip.dev, 0, 4, 0x10 + 2 * 2);
	copy = copy_of(rig, 5);
	/* It stands at the register that was chosen last. */
	assert_int_equal(get(&copy->ioapic.chip.dev, 0x10, 4), 1u << 15 | 1u << 16 | 0x42);
	copy->ioapic.chip.raise(&copy->ioapic.chip, 1);
	assert_int_equal(copy->n_messages, 1);
	assert_int_equal(copy->data, 0x41);
	/* What was missed comes once. */
	set_register(copy, 0x10 + 2 * 2, 1u << 15 | 0x42);
	assert_int_equal(copy->n_messages, 2);
	assert_int_equal(copy->data, 0x42);
	set(&copy->ioapic.chip.dev, 0, 4, 0);
	assert_int_equal(get(&copy->ioapic.chip.dev, 0x10, 4), 3u << 24);
	drop(copy);
}

static void test_hostile_ioapic(void **state)
{
	struct rig *rig = *state, *copy = make(0);
	struct state_writer file = save(rig);
	struct diag diag;

	rig_change(&file, &ioapic_state, 0, "select", UINT32_MAX);
	rig_change(&file, &ioapic_state, 0, "missed", UINT32_MAX);
	rig_change(&file, &ioapic_state, 0, "id", UINT32_MAX);
	rig_change(&file, &ioapic_state, 0, "redirection", UINT64_MAX);
	assert_int_equal(load(copy, &file, &diag), 0);
	assert_int_equal(get(&copy->ioapic.chip.dev, 0, 4), 0xff);
	assert_int_equal(get(&copy->ioapic.chip.dev, 0x10, 4), 0);
	set(&copy->ioapic.chip.dev, 0, 4, 0x10);
	assert_int_equal(get(&copy->ioapic.chip.dev, 0x10, 4), UINT32_MAX ^ (1u << 12 | 1u << 14));
	assert_int_equal(copy->ioapic.id, 0x0f000000);
	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++)
		set_register(copy, 0x10 + 2 * pin, 0x30);
	drop(copy);
	state_free(&file);
}

/* ---- the serial port ---- */

static void test_serial(void **state)
{
	struct rig *rig = *state, *copy;
	struct device *dev = &rig->serial.dev;

	set(dev, UART_LCR, 1, UART_LCR_DLAB);
	set(dev, UART_DLL, 1, 12);
	set(dev, UART_LCR, 1, UART_LCR_WLEN8);
	set(dev, UART_FCR, 1, UART_FCR_ENABLE_FIFO);
	set(dev, UART_MCR, 1, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	set(dev, UART_IER, 1, UART_IER_RDI);
	set(dev, UART_SCR, 1, 0x77);
	serial_receive(&rig->serial, (const uint8_t *)"input", 5);
	assert_int_equal(get(dev, UART_RX, 1), 'i');
	copy = copy_of(rig, 0);
	dev = &copy->serial.dev;
	/* What waits is there, and told of by an interrupt or the line that is high. */
	assert_true(get(dev, UART_LSR, 1) & UART_LSR_DR);
	assert_int_equal(get(dev, UART_IIR, 1) & UART_IIR_ID, UART_IIR_RDI);
	for (const char *c = "nput"; *c; c++)
		assert_int_equal(get(dev, UART_RX, 1), *c);
	assert_false(get(dev, UART_LSR, 1) & UART_LSR_DR);
	assert_int_equal(get(dev, UART_SCR, 1), 0x77);
	assert_int_equal(get(dev, UART_MCR, 1), UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	serial_receive(&copy->serial, (const uint8_t *)"x", 1);
	assert_int_equal(copy->n_edges, 1);
	set(dev, UART_LCR, 1, UART_LCR_DLAB);
	assert_int_equal(get(dev, UART_DLL, 1), 12);
	drop(copy);
}

/* The first had to wait for its reader; the reader of the other has room. */
static void test_serial_that_waits(void **state)
{
	struct rig *rig = *state, *copy;
	struct device *dev = &rig->serial.dev;

	set(dev, UART_MCR, 1, UART_MCR_OUT2);
	set(dev, UART_IER, 1, UART_IER_THRI);
	rig->room = 1;
	get(dev, UART_IIR, 1);
	set(dev, UART_TX, 1, 'a');
	assert_false(get(dev, UART_LSR, 1) & UART_LSR_THRE);
	copy = copy_of(rig, 0);
	dev = &copy->serial.dev;
	assert_true(get(dev, UART_LSR, 1) & UART_LSR_THRE);
	assert_int_equal(copy->n_edges, 1);
	assert_int_equal(get(dev, UART_IIR, 1) & UART_IIR_ID, UART_IIR_THRI);
	set(dev, UART_TX, 1, 'b');
	assert_string_equal(copy->sent, "b");
	drop(copy);
}

static void test_hostile_serial(void **state)
{
	static const struct {
		const char *field;
		uint64_t value;
	} changes[] = {
		{ "rx_head", SERIAL_FIFO_SIZE },
		{ "rx_head", UINT32_MAX },
		{ "rx_count", SERIAL_FIFO_SIZE + 1 },
		{ "rx_count", UINT32_MAX },
		{ "line_high", 2 },
	};
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct rig *copy = make(0);
		struct state_writer file = save(rig);
		struct diag diag;

		rig_change(&file, &serial_state, 0, changes[i].field, changes[i].value);
		assert_int_equal(load(copy, &file, &diag), -EBADMSG);
		drop(copy);
		state_free(&file);
	}
}

/* What a guest cannot have written is left out. */
static void test_registers_of_all_ones(void **state)
{
	struct rig *rig = *state, *copy = make(0);
	struct state_writer file = save(rig);
	struct device *dev = &copy->serial.dev;
	struct diag diag;

	rig_change(&file, &serial_state, 0, "ier", 0xff);
	rig_change(&file, &serial_state, 0, "mcr", 0xff);
	rig_change(&file, &serial_state, 0, "fcr", 0xff);
	assert_int_equal(load(copy, &file, &diag), 0);
	assert_int_equal(get(dev, UART_IER, 1), 0x0f);
	assert_int_equal(get(dev, UART_MCR, 1), 0x1f);
	assert_int_equal(copy->serial.fcr, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
	drop(copy);
	state_free(&file);
}

/* ---- power ---- */

static uint32_t timer(struct rig *rig)
{
	return (uint32_t)get(&rig->power.dev, PLATFORM_PM_TIMER - PLATFORM_PM_PORT, 4);
}

/* The timer goes on from where it was, whatever the clock of the host says. */
static void test_timer(void **state)
{
	struct rig *rig = *state, *copy, *again;
	uint32_t before;

	rig->now_ns += 1234567890;
	before = timer(rig);
	copy = copy_of(rig, 17);
	assert_int_equal(timer(copy), before);
	copy->now_ns += 1000000000;
	assert_in_range(timer(copy) - before, 3579544, 3579546);
	before = timer(copy);
	again = copy_of(copy, UINT64_C(1) << 60);
	assert_int_equal(timer(again), before);
	drop(again);
	drop(copy);
}

static void test_button_that_was_pressed(void **state)
{
	struct rig *rig = *state, *copy;
	uint8_t events;

	power_press_button(&rig->power);
	events = rig->power.events;
	assert_true(events);
	copy = copy_of(rig, 0);
	assert_int_equal(copy->power.events, events);
	assert_int_equal(copy->n_edges, 0); /* the guest has had its interrupt */
	drop(copy);
}

/* ---- the clock ---- */

static void test_clock(void **state)
{
	struct rig *rig = *state, *copy;

	set(&rig->rtc.dev, 0, 1, 0x0b);
	set(&rig->rtc.dev, 1, 1, 0x06); /* binary, 24 hours */
	copy = copy_of(rig, UINT64_C(45) * 1000000000);
	assert_int_equal(get(&copy->rtc.dev, 1, 1), 0x06);
	set(&copy->rtc.dev, 0, 1, 0);
	assert_int_equal(get(&copy->rtc.dev, 1, 1), 45);
	drop(copy);
}

/* Whatever is in the file, a guest that waits for the end of an update sees it come. */
static void test_hostile_clock(void **state)
{
	struct rig *rig = *state, *copy = make(0);
	struct state_writer file = save(rig);
	struct diag diag;

	rig_change(&file, &rtc_state, 0, "index", 0xff);
	rig_change(&file, &rtc_state, 0, "reg_a", 0xff);
	rig_change(&file, &rtc_state, 0, "reg_b", 0xff);
	assert_int_equal(load(copy, &file, &diag), 0);
	assert_int_equal(get(&copy->rtc.dev, 1, 1), 0);
	set(&copy->rtc.dev, 0, 1, 0x0a);
	assert_int_equal(get(&copy->rtc.dev, 1, 1), 0x7f);
	set(&copy->rtc.dev, 0, 1, 0x0b);
	assert_int_equal(get(&copy->rtc.dev, 1, 1), 0x87);
	drop(copy);
	state_free(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_ioapic),
		TEST(test_hostile_ioapic),
		TEST(test_serial),
		TEST(test_serial_that_waits),
		TEST(test_hostile_serial),
		TEST(test_registers_of_all_ones),
		TEST(test_timer),
		TEST(test_button_that_was_pressed),
		TEST(test_clock),
		TEST(test_hostile_clock),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
