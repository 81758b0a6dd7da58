// SPDX-License-Identifier: MIT
/* test_serial.c - the 16550A as a driver sees it */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/serial.h"

#include <linux/serial_reg.h>
#include <string.h>

#define ALL_FIFO (UART_IIR_NO_INT | 0xc0)

/* A chip that counts edges, and a host's side of limited room. */
struct rig {
	struct irq_chip chip;
	unsigned int n_edges;
	struct serial serial;
	uint8_t sent[256];
	size_t n_sent, room;
	unsigned int n_wanted;
};

static void count_edge(struct irq_chip *chip, unsigned int gsi)
{
	assert_int_equal(gsi, 4);
	((struct rig *)chip)->n_edges++;
}

static bool take(void *ctx, uint8_t byte)
{
	struct rig *rig = ctx;

	assert_true(rig->n_sent < sizeof(rig->sent));
	rig->sent[rig->n_sent++] = byte;
	if (rig->room)
		rig->room--;
	return rig->room > 0;
}

static bool can_take(void *ctx)
{
	return ((struct rig *)ctx)->room > 0;
}

static void wanted(void *ctx)
{
	((struct rig *)ctx)->n_wanted++;
}

static const struct serial_ops ops = { take, can_take, wanted };

static int set_up(void **state)
{
	static struct rig rig;
	static const struct device_ops none;
	struct irq_line line = { &rig.chip, 4 };

	memset(&rig, 0, sizeof(rig));
	device_init(&rig.chip.dev, "chip", &none);
	rig.chip.raise = count_edge;
	rig.room = 1000;
	serial_init(&rig.serial, line, &ops, &rig);
	*state = &rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	serial_fini(&rig->serial);
	device_fini(&rig->chip.dev);
	return 0;
}

static uint8_t get(struct rig *rig, unsigned int reg)
{
	return (uint8_t)rig->serial.dev.ops->read(&rig->serial.dev, reg, 1);
}

static void set(struct rig *rig, unsigned int reg, uint8_t value)
{
	rig->serial.dev.ops->write(&rig->serial.dev, reg, 1, value);
}

static void type(struct rig *rig, const char *text)
{
	serial_receive(&rig->serial, (const uint8_t *)text, strlen(text));
}

static unsigned int edges(struct rig *rig)
{
	unsigned int n = rig->n_edges;

	rig->n_edges = 0;
	return n;
}

/* Receive interrupts, connected, as a driver enables them; `also` are other interrupts. */
static void listen(struct rig *rig, uint8_t also)
{
	set(rig, UART_MCR, UART_MCR_DTR | UART_MCR_RTS | UART_MCR_OUT2);
	set(rig, UART_IER, UART_IER_RDI | also);
}

static void test_sends(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get(rig, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	set(rig, UART_TX, 'a');
	set(rig, UART_TX, 'b');
	assert_int_equal(get(rig, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	assert_int_equal(rig->n_sent, 2);
	assert_memory_equal(rig->sent, "ab", 2);
	assert_int_equal(edges(rig), 0);
}

static void test_divisor_latch(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_IER, UART_IER_RLSI);
	set(rig, UART_LCR, UART_LCR_DLAB | UART_LCR_WLEN8);
	set(rig, UART_DLL, 0x34);
	set(rig, UART_DLM, 0x12);
	assert_int_equal(get(rig, UART_DLL), 0x34);
	assert_int_equal(get(rig, UART_DLM), 0x12);
	set(rig, UART_LCR, UART_LCR_WLEN8);
	assert_int_equal(get(rig, UART_IER), UART_IER_RLSI);
	assert_int_equal(get(rig, UART_LCR), UART_LCR_WLEN8);
	assert_int_equal(rig->n_sent, 0);
}

static void test_scratch_and_read_only(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_SCR, 0xa5);
	assert_int_equal(get(rig, UART_SCR), 0xa5);
	set(rig, UART_LSR, 0xff);
	assert_int_equal(get(rig, UART_LSR), UART_LSR_THRE | UART_LSR_TEMT);
	set(rig, UART_MSR, 0);
	assert_int_equal(get(rig, UART_MSR), UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS);
	set(rig, UART_IER, 0xff);
	assert_int_equal(get(rig, UART_IER), 0x0f);
}

/* What Linux's autoconfig() does to tell a UART from thin air. */
static void test_loopback(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO);
	set(rig, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2 | UART_MCR_RTS);
	assert_int_equal(get(rig, UART_MSR), UART_MSR_DCD | UART_MSR_CTS);
	set(rig, UART_MCR, UART_MCR_LOOP | UART_MCR_DTR | UART_MCR_OUT1);
	assert_int_equal(get(rig, UART_MSR), UART_MSR_DSR | UART_MSR_RI);
	for (uint8_t i = 0; i < SERIAL_FIFO_SIZE; i++)
		set(rig, UART_TX, i);
	assert_int_equal(rig->n_sent, 0);
	for (uint8_t i = 0; i < SERIAL_FIFO_SIZE; i++)
		assert_int_equal(get(rig, UART_RX), i);
	assert_false(get(rig, UART_LSR) & UART_LSR_DR);
	set(rig, UART_MCR, UART_MCR_DTR);
	set(rig, UART_TX, 'x');
	assert_int_equal(rig->n_sent, 1);
}

static void test_loopback_cuts_the_input_off(void **state)
{
	struct rig *rig = *state;

	listen(rig, 0);
	assert_true(serial_receive_room(&rig->serial) > 0);
	set(rig, UART_MCR, UART_MCR_LOOP | UART_MCR_OUT2);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	rig->n_wanted = 0;
	set(rig, UART_MCR, UART_MCR_OUT2);
	assert_true(serial_receive_room(&rig->serial) > 0);
	assert_true(rig->n_wanted > 0);
}

static void test_fifo(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(get(rig, UART_IIR), UART_IIR_NO_INT);
	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_14);
	assert_int_equal(get(rig, UART_IIR), ALL_FIFO);
	listen(rig, 0);
	assert_int_equal(serial_receive_room(&rig->serial), SERIAL_FIFO_SIZE);
	type(rig, "0123456789");
	assert_int_equal(serial_receive_room(&rig->serial), 6);
	assert_int_equal(get(rig, UART_RX), '0');
	type(rig, "abcdefg"); /* goes round the end of the buffer */
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	for (const char *c = "123456789abcdefg"; *c; c++)
		assert_int_equal(get(rig, UART_RX), *c);
	assert_int_equal(get(rig, UART_RX), 0);
	type(rig, "xyz");
	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_false(get(rig, UART_LSR) & UART_LSR_DR);
	type(rig, "xyz");
	set(rig, UART_FCR, 0); /* turning the FIFOs off clears them */
	assert_false(get(rig, UART_LSR) & UART_LSR_DR);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_NO_INT);
	assert_int_equal(serial_receive_room(&rig->serial), 1);
}

static void test_overrun(void **state)
{
	struct rig *rig = *state;

	type(rig, "ab"); /* one too many without FIFO */
	assert_int_equal(
		get(rig, UART_LSR) & (UART_LSR_DR | UART_LSR_OE), UART_LSR_DR | UART_LSR_OE);
	assert_int_equal(get(rig, UART_LSR) & (UART_LSR_DR | UART_LSR_OE), UART_LSR_DR);
	assert_int_equal(get(rig, UART_RX), 'a');
}

/* Line status before received data before transmitter empty. */
static void test_priorities(void **state)
{
	struct rig *rig = *state;

	listen(rig, UART_IER_RLSI | UART_IER_THRI);
	type(rig, "ab");
	assert_int_equal(get(rig, UART_IIR), UART_IIR_RLSI);
	get(rig, UART_LSR);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_RDI);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_RDI); /* reading it settles only THRI */
	get(rig, UART_RX);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_THRI);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_NO_INT);
}

static void test_transmitter_interrupts(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_IER, UART_IER_THRI); /* enabling it while empty announces it */
	assert_int_equal(edges(rig), 1);
	set(rig, UART_IER, UART_IER_THRI); /* it was enabled */
	assert_int_equal(edges(rig), 0);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_THRI);
	set(rig, UART_IER, UART_IER_THRI);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_NO_INT);
	set(rig, UART_TX,
		'a'); /* each byte sent is an edge, even if the last was not acknowledged */
	assert_int_equal(edges(rig), 1);
	set(rig, UART_TX, 'b');
	assert_int_equal(edges(rig), 1);
	set(rig, UART_IER, 0);
	set(rig, UART_TX, 'c');
	assert_int_equal(edges(rig), 0);
	/* Linux's serial8250_THRE_test(): off and on again announces it again. */
	set(rig, UART_IER, UART_IER_THRI);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_THRI);
	set(rig, UART_IER, 0);
	set(rig, UART_IER, UART_IER_THRI);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_THRI);
}

static void test_receive_interrupts(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO);
	listen(rig, 0);
	type(rig, "abc");
	assert_int_equal(edges(rig), 1);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_RDI | 0xc0);
	get(rig, UART_RX);
	get(rig, UART_RX);
	assert_int_equal(edges(rig), 0);
	get(rig, UART_RX);
	assert_int_equal(get(rig, UART_IIR), ALL_FIFO);
	type(rig, "d");
	assert_int_equal(edges(rig), 1);
}

static void test_no_input_before_the_guest_listens(void **state)
{
	struct rig *rig = *state;

	assert_int_equal(serial_receive_room(&rig->serial), 0);
	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO | UART_FCR_CLEAR_RCVR);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	/* A guest that looks whether it may send is not listening. */
	for (int i = 0; i < 1000; i++) {
		get(rig, UART_LSR);
		if (rig->n_sent < sizeof(rig->sent))
			set(rig, UART_TX, 'x');
		else
			rig->n_sent = 0;
	}
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	assert_int_equal(rig->n_wanted, 0);
	/* One that asks again and again is. */
	for (int i = 0; i < 100; i++)
		get(rig, UART_LSR);
	assert_int_equal(serial_receive_room(&rig->serial), SERIAL_FIFO_SIZE);
	assert_true(rig->n_wanted > 0);
}

static void test_waiting_to_send_is_not_listening(void **state)
{
	struct rig *rig = *state;

	rig->room = 1;
	set(rig, UART_TX, 'x');
	for (int i = 0; i < 1000; i++)
		assert_false(get(rig, UART_LSR) & UART_LSR_THRE);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
}

static void test_enabling_the_interrupt_is_listening(void **state)
{
	struct rig *rig = *state;

	listen(rig, 0);
	assert_int_equal(rig->n_wanted, 1);
	assert_int_equal(serial_receive_room(&rig->serial), 1);
	type(rig, "a");
	rig->n_wanted = 0;
	get(rig, UART_RX); /* there is room again */
	assert_int_equal(rig->n_wanted, 1);
}

/* Linux's probe enables every interrupt of an unconnected port for a moment. */
static void test_probing_is_not_listening(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_IER, 0x0f);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	set(rig, UART_IER, 0);
	set(rig, UART_MCR, UART_MCR_OUT2);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	assert_int_equal(rig->n_wanted, 0);
}

/* A driver that knows nothing of OUT2 wants its input all the same; and Linux's, which connects
 * first, may enable all interrupts.
 */
static void test_listening_without_out2(void **state)
{
	static const uint8_t drivers[][2] = { { 0, UART_IER_RDI }, { 0, 0x03 }, { 0, 0x05 },
		{ 0, 0x07 }, { 0, 0x0d }, { UART_MCR_OUT2, 0x0f } };
	struct rig *rig = *state;

	for (size_t i = 0; i < sizeof(drivers) / sizeof(drivers[0]); i++) {
		set(rig, UART_IER, 0);
		set(rig, UART_MCR, drivers[i][0]);
		rig->n_wanted = 0;
		set(rig, UART_IER, drivers[i][1]);
		assert_int_equal(serial_receive_room(&rig->serial), 1);
		assert_int_equal(rig->n_wanted, 1);
	}
	set(rig, UART_IER, 0);
	edges(rig);
	set(rig, UART_MCR, 0);
	set(rig, UART_IER, UART_IER_RDI);
	type(rig, "a");
	assert_int_equal(edges(rig), 1);
}

/* Linux enables the interrupt before the FIFO. */
static void test_switching_the_fifo_on_loses_nothing(void **state)
{
	struct rig *rig = *state;

	listen(rig, 0);
	type(rig, "a");
	set(rig, UART_FCR, UART_FCR_ENABLE_FIFO);
	type(rig, "b");
	assert_int_equal(get(rig, UART_RX), 'a');
	assert_int_equal(get(rig, UART_RX), 'b');
}

/* A port that is closed clears its FIFO when it is opened again. */
static void test_closing_is_not_listening(void **state)
{
	struct rig *rig = *state;

	listen(rig, 0);
	set(rig, UART_IER, 0);
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	rig->n_wanted = 0;
	set(rig, UART_IER, UART_IER_RDI);
	assert_int_equal(rig->n_wanted, 1);
}

static void test_backpressure(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_IER, UART_IER_THRI);
	get(rig, UART_IIR);
	edges(rig);
	rig->room = 1;
	set(rig, UART_TX, 'a'); /* taken, and now the host's side is full */
	assert_int_equal(rig->n_sent, 1);
	assert_int_equal(edges(rig), 0);
	assert_false(get(rig, UART_LSR) & (UART_LSR_THRE | UART_LSR_TEMT));
	assert_int_equal(get(rig, UART_IIR), UART_IIR_NO_INT);
	rig->room = 10;
	serial_send_ready(&rig->serial);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(get(rig, UART_IIR), UART_IIR_THRI);
	serial_send_ready(&rig->serial); /* it was ready: nothing new */
	assert_int_equal(edges(rig), 0);
	assert_true(get(rig, UART_LSR) & UART_LSR_THRE);
}

/* A polling guest sees the room without being told. */
static void test_backpressure_polled(void **state)
{
	struct rig *rig = *state;

	rig->room = 1;
	set(rig, UART_TX, 'a');
	assert_false(get(rig, UART_LSR) & UART_LSR_THRE);
	rig->room = 10;
	assert_true(get(rig, UART_LSR) & UART_LSR_THRE);
}

static void test_enabling_while_busy(void **state)
{
	struct rig *rig = *state;

	rig->room = 1;
	set(rig, UART_TX, 'a');
	set(rig, UART_IER, UART_IER_THRI);
	assert_int_equal(edges(rig), 0);
	rig->room = 10;
	serial_send_ready(&rig->serial);
	assert_int_equal(edges(rig), 1);
}

/* The machine is paused: no input, no interrupt; then both. */
static void test_quiet(void **state)
{
	struct rig *rig = *state;

	listen(rig, UART_IER_THRI);
	get(rig, UART_IIR);
	rig->room = 1;
	set(rig, UART_TX, 'a');
	edges(rig);
	serial_quiesce(&rig->serial);
	rig->n_wanted = 0;
	assert_int_equal(serial_receive_room(&rig->serial), 0);
	rig->room = 10;
	serial_send_ready(&rig->serial);
	assert_int_equal(edges(rig), 0);
	assert_int_equal(rig->n_wanted, 0);
	serial_resume(&rig->serial);
	assert_int_equal(edges(rig), 1);
	assert_int_equal(get(rig, UART_IIR) & 0x0f, UART_IIR_THRI);
	assert_int_equal(rig->n_wanted, 1);
	assert_true(serial_receive_room(&rig->serial) > 0);
}

/* And there is nothing to make up for. */
static void test_quiet_for_nothing(void **state)
{
	struct rig *rig = *state;

	set(rig, UART_IER, UART_IER_THRI);
	get(rig, UART_IIR);
	rig->room = 1;
	set(rig, UART_TX, 'a');
	edges(rig);
	rig->n_wanted = 0;
	serial_quiesce(&rig->serial);
	serial_resume(&rig->serial);
	rig->room = 0;
	serial_quiesce(&rig->serial);
	serial_resume(&rig->serial);
	assert_int_equal(edges(rig), 0);
	assert_int_equal(rig->n_wanted, 0);
}

/* Registers are bytes: a wider access moves one and harms none. */
static void test_wide_access(void **state)
{
	struct rig *rig = *state;
	struct device *dev = &rig->serial.dev;

	dev->ops->write(dev, UART_SCR, 1, 0xffffffffffffff11);
	assert_int_equal(dev->ops->read(dev, UART_SCR, 1), 0x11);
	dev->ops->write(dev, UART_TX, 4, 0x64636261);
	assert_int_equal(rig->n_sent, 1);
	assert_int_equal(rig->sent[0], 'a');
	dev->ops->read(dev, UART_RX, 8);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_sends),
		TEST(test_divisor_latch),
		TEST(test_scratch_and_read_only),
		TEST(test_loopback),
		TEST(test_loopback_cuts_the_input_off),
		TEST(test_fifo),
		TEST(test_overrun),
		TEST(test_priorities),
		TEST(test_transmitter_interrupts),
		TEST(test_receive_interrupts),
		TEST(test_no_input_before_the_guest_listens),
		TEST(test_waiting_to_send_is_not_listening),
		TEST(test_enabling_the_interrupt_is_listening),
		TEST(test_probing_is_not_listening),
		TEST(test_listening_without_out2),
		TEST(test_closing_is_not_listening),
		TEST(test_switching_the_fifo_on_loses_nothing),
		TEST(test_backpressure),
		TEST(test_backpressure_polled),
		TEST(test_enabling_while_busy),
		TEST(test_quiet),
		TEST(test_quiet_for_nothing),
		TEST(test_wide_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
