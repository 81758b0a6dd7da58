// SPDX-License-Identifier: MIT
/* serial.c - a 16550A */

#include "dev/serial.h"

#include <errno.h>
#include <linux/serial_reg.h>

/* Input that comes before the guest's driver is ready would be lost with the FIFO that it clears.
 * So none is taken until the receive interrupt is enabled for good, or the guest asks for the
 * line's status this often without sending: then it polls for input.
 */
#define STATUS_POLLS_LISTENING 64

/* The other end is always there and ready. */
#define MODEM_READY (UART_MSR_DCD | UART_MSR_DSR | UART_MSR_CTS)

#define IER_ALL (UART_IER_RDI | UART_IER_THRI | UART_IER_RLSI | UART_IER_MSI)
#define MCR_ALL 0x1f

const struct counter serial_counters[] = {
	{ "read_count", offsetof(struct serial, n_read) },
	{ "write_count", offsetof(struct serial, n_written) },
	{ "rate_limiter_dropped_bytes", offsetof(struct serial, n_dropped) },
	{ NULL, 0 },
};

static unsigned int rx_capacity(const struct serial *serial)
{
	return serial->fcr & UART_FCR_ENABLE_FIFO ? SERIAL_FIFO_SIZE : 1;
}

/* The highest of the pending interrupts, as IIR codes it.  Received data is announced from the
 * first byte, whatever the trigger level: there is no line whose silence could be timed.
 */
static uint8_t pending_interrupt(const struct serial *serial)
{
	if (serial->ier & UART_IER_RLSI && serial->rx_overrun)
		return UART_IIR_RLSI;
	if (serial->ier & UART_IER_RDI && serial->rx_count)
		return UART_IIR_RDI;
	if (serial->ier & UART_IER_THRI && serial->tx_empty_pending)
		return UART_IIR_THRI;
	return UART_IIR_NO_INT;
}

/* The line goes up with the first pending interrupt: that edge is the interrupt. */
static void update_line(struct serial *serial)
{
	bool high = pending_interrupt(serial) != UART_IIR_NO_INT;

	if (high && !serial->line_high)
		irq_raise(&serial->line);
	serial->line_high = high;
}

static void rx_push(struct serial *serial, uint8_t byte)
{
	if (serial->rx_count == rx_capacity(serial)) {
		serial->rx_overrun = true;
		return;
	}
	serial->rx[(serial->rx_head + serial->rx_count++) % SERIAL_FIFO_SIZE] = byte;
}

static void rx_clear(struct serial *serial)
{
	serial->rx_head = 0;
	serial->rx_count = 0;
}

static void want_input(struct serial *serial)
{
	if (serial_receive_room(serial))
		serial->ops->want_input(serial->ctx);
}

/* The output OUT2 connects a PC's serial port to its interrupt line, but not every guest has heard
 * of it (NuttX), and here the line is connected without.  A probe (Linux's) enables all interrupts,
 * looks whether they read back, and disables them: that is no driver yet.
 */
static bool is_listening(const struct serial *serial)
{
	bool probing = serial->ier == IER_ALL && !(serial->mcr & UART_MCR_OUT2);

	return serial->polls_input || (serial->ier & UART_IER_RDI && !probing);
}

static uint8_t read_data(struct serial *serial)
{
	uint8_t byte = 0;

	if (serial->rx_count) {
		byte = serial->rx[serial->rx_head];
		serial->rx_head = (serial->rx_head + 1) % SERIAL_FIFO_SIZE;
		serial->rx_count--;
		counter_add(&serial->n_read, 1);
	}
	want_input(serial);
	return byte;
}

static void write_data(struct serial *serial, uint8_t byte)
{
	counter_add(&serial->n_written, 1);
	serial->n_status_polls = 0;
	serial->tx_empty_pending = false;
	update_line(serial);
	if (serial->mcr & UART_MCR_LOOP)
		rx_push(serial, byte);
	else
		serial->tx_busy = !serial->ops->send(serial->ctx, byte);
	serial->tx_empty_pending = !serial->tx_busy;
}

static uint8_t read_line_status(struct serial *serial)
{
	uint8_t status = 0;

	if (serial->tx_busy && serial->ops->can_send(serial->ctx))
		serial_send_ready(serial);
	if (!serial->tx_busy)
		status |= UART_LSR_THRE | UART_LSR_TEMT;
	if (serial->rx_count)
		status |= UART_LSR_DR;
	if (serial->rx_overrun)
		status |= UART_LSR_OE;
	serial->rx_overrun = false;
	/* While the line is busy the guest may be waiting to send. */
	if (!serial->tx_busy && ++serial->n_status_polls == STATUS_POLLS_LISTENING) {
		serial->polls_input = true;
		want_input(serial);
	}
	return status;
}

static uint8_t read_interrupt_id(struct serial *serial)
{
	uint8_t id = pending_interrupt(serial);

	if (id == UART_IIR_THRI)
		serial->tx_empty_pending = false;
	return id | (serial->fcr & UART_FCR_ENABLE_FIFO ? 0xc0 : 0);
}

/* In loopback the modem's outputs are its inputs. */
static uint8_t read_modem_status(const struct serial *serial)
{
	uint8_t status = 0;

	if (!(serial->mcr & UART_MCR_LOOP))
		return MODEM_READY;
	if (serial->mcr & UART_MCR_RTS)
		status |= UART_MSR_CTS;
	if (serial->mcr & UART_MCR_DTR)
		status |= UART_MSR_DSR;
	if (serial->mcr & UART_MCR_OUT1)
		status |= UART_MSR_RI;
	if (serial->mcr & UART_MCR_OUT2)
		status |= UART_MSR_DCD;
	return status;
}

static void write_interrupt_enable(struct serial *serial, uint8_t value)
{
	/* Enabling "transmitter empty" while it is empty announces it at once. */
	if (value & UART_IER_THRI && !(serial->ier & UART_IER_THRI) && !serial->tx_busy)
		serial->tx_empty_pending = true;
	serial->ier = value & IER_ALL;
	want_input(serial);
}

static void write_fifo_control(struct serial *serial, uint8_t value)
{
	/* The chip clears the FIFO when it is switched on, too.  Here that would lose what Linux,
	 * which enables the interrupt first, has just been given.
	 */
	if (value & UART_FCR_CLEAR_RCVR || serial->fcr & ~value & UART_FCR_ENABLE_FIFO)
		rx_clear(serial);
	serial->fcr = value & (UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK);
	want_input(serial);
}

static void write_modem_control(struct serial *serial, uint8_t value)
{
	serial->mcr = value & MCR_ALL;
	want_input(serial);
}

static uint64_t serial_read(struct device *dev, uint64_t offset, unsigned int)
{
	struct serial *serial = (struct serial *)dev;
	bool dlab = serial->lcr & UART_LCR_DLAB;
	uint8_t value;

	switch (offset) {
	case UART_RX: value = dlab ? serial->dll : read_data(serial); break;
	case UART_IER: value = dlab ? serial->dlm : serial->ier; break;
	case UART_IIR: value = read_interrupt_id(serial); break;
	case UART_LCR: value = serial->lcr; break;
	case UART_MCR: value = serial->mcr; break;
	case UART_LSR: value = read_line_status(serial); break;
	case UART_MSR: value = read_modem_status(serial); break;
	default: value = serial->scr; break;
	}
	update_line(serial);
	return value;
}

static void serial_write(struct device *dev, uint64_t offset, unsigned int, uint64_t wide)
{
	struct serial *serial = (struct serial *)dev;
	bool dlab = serial->lcr & UART_LCR_DLAB;
	uint8_t value = (uint8_t)wide;

	switch (offset) {
	case UART_TX:
		if (dlab)
			serial->dll = value;
		else
			write_data(serial, value);
		break;
	case UART_IER:
		if (dlab)
			serial->dlm = value;
		else
			write_interrupt_enable(serial, value);
		break;
	case UART_FCR: write_fifo_control(serial, value); break;
	case UART_LCR: serial->lcr = value; break;
	case UART_MCR: write_modem_control(serial, value); break;
	case UART_SCR: serial->scr = value; break;
	default: break; /* LSR and MSR are the hardware's */
	}
	update_line(serial);
}

/* What the host's side has no room for, it has none for in another life. */
static void serial_reset(struct device *dev)
{
	struct serial *serial = (struct serial *)dev;

	serial->line_high = serial->tx_empty_pending = serial->rx_overrun = false;
	serial->tx_busy = !serial->ops->can_send(serial->ctx);
	serial->polls_input = false;
	serial->n_status_polls = 0;
	rx_clear(serial);
	serial->ier = serial->fcr = serial->lcr = serial->mcr = serial->scr = serial->dlm = 0;
	serial->dll = 1;
}

static const struct device_ops serial_device_ops = {
	.read = serial_read,
	.write = serial_write,
	.reset = serial_reset,
};

void serial_init(
	struct serial *serial, struct irq_line line, const struct serial_ops *ops, void *ctx)
{
	*serial = (struct serial){ .ops = ops, .ctx = ctx, .line = line, .dll = 1 };
	device_init(&serial->dev, "serial", &serial_device_ops);
}

void serial_fini(struct serial *serial)
{
	device_fini(&serial->dev);
}

size_t serial_receive_room(const struct serial *serial)
{
	if (!is_listening(serial) || serial->mcr & UART_MCR_LOOP || serial->is_quiet)
		return 0;
	return rx_capacity(serial) - serial->rx_count;
}

void serial_receive(struct serial *serial, const uint8_t *data, size_t size)
{
	for (size_t i = 0; i < size; i++)
		rx_push(serial, data[i]);
	update_line(serial);
}

void serial_send_ready(struct serial *serial)
{
	if (!serial->tx_busy || serial->is_quiet)
		return;
	serial->tx_busy = false;
	serial->tx_empty_pending = true;
	update_line(serial);
}

void serial_quiesce(struct serial *serial)
{
	serial->is_quiet = true;
}

void serial_resume(struct serial *serial)
{
	serial->is_quiet = false;
	if (serial->tx_busy && serial->ops->can_send(serial->ctx))
		serial_send_ready(serial);
	want_input(serial);
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_BOOL(struct serial, line_high, 1),
	STATE_BOOL(struct serial, tx_busy, 1),
	STATE_BOOL(struct serial, tx_empty_pending, 1),
	STATE_BOOL(struct serial, rx_overrun, 1),
	STATE_BOOL(struct serial, polls_input, 1),
	STATE_ARRAY(struct serial, rx, 1),
	STATE_FIELD(struct serial, rx_head, 1),
	STATE_FIELD(struct serial, rx_count, 1),
	STATE_FIELD(struct serial, ier, 1),
	STATE_FIELD(struct serial, fcr, 1),
	STATE_FIELD(struct serial, lcr, 1),
	STATE_FIELD(struct serial, mcr, 1),
	STATE_FIELD(struct serial, scr, 1),
	STATE_FIELD(struct serial, dll, 1),
	STATE_FIELD(struct serial, dlm, 1),
	STATE_END,
};

const struct state_table serial_state = { "serial", 1, fields };

int serial_load(struct serial *serial, struct state_reader *reader, struct diag *diag)
{
	int ret = state_load(reader, &serial_state, 0, serial, diag);

	if (ret)
		return ret;
	if (serial->rx_head >= SERIAL_FIFO_SIZE || serial->rx_count > SERIAL_FIFO_SIZE)
		return diag_fail(diag, EBADMSG, "serial: its FIFO is not as it should be");
	serial->ier &= IER_ALL;
	serial->fcr &= UART_FCR_ENABLE_FIFO | UART_FCR_TRIGGER_MASK;
	serial->mcr &= MCR_ALL;
	return 0;
}
