// SPDX-License-Identifier: MIT
/* fuzz_devices.c - a guest's accesses to every device, and what the host does meanwhile
 *
 * The input is a row of steps.  The upper two bits of the first byte say what it is:
 *
 * - 0, 1: a device is read, or written to: bit 0 is the bus (1: MMIO), bits 3:2 the size; then the
 *   device's number, the offset, and the value
 * - 2: the host does something: see host_event()
 * - 3: an access anywhere: bit 5 for a write, bit 4 for MMIO, bits 3:2 the size; then address and
 *   value
 */

#include "dev/debug_console.h"
#include "dev/debug_exit.h"
#include "dev/ioapic.h"
#include "dev/pc_reset.h"
#include "dev/power.h"
#include "dev/rtc.h"
#include "dev/serial.h"
#include "input.h"
#include "util/bits.h"

#include <linux/serial_reg.h>
#include <string.h>

/* What one access may make the host do: a byte sent, room asked for, input asked for twice, and two
 * edges of the serial line at most, each a message on two pins.
 */
#define MOST_CALLS 8u

struct machine {
	struct bus pio, mmio;
	struct ioapic ioapic;
	struct serial serial;
	struct power power;
	struct pc_reset pc_reset;
	struct rtc rtc;
	struct debug_console debug_console;
	struct debug_exit debug_exit;

	/* The host's side. */
	bool host_full, wants_input;
	uint8_t next_input;
	uint64_t now_ns;

	/* Of this step. */
	unsigned int n_calls, n_messages, n_requests;
};

/* ---- the host's side of the devices ---- */

/* A message is one of the unmasked pins', and nothing else. */
static int send_msi(void *ctx, uint64_t address, uint32_t data)
{
	struct machine *machine = ctx;
	bool found = false;

	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++) {
		uint64_t entry = machine->ioapic.redirection[pin];

		found |= !(entry & 1u << 16) && (entry & 0x7ff) == data &&
		         entry >> 56 == (address >> 12 & 0xff);
	}
	BUG_ON(!found || (address & ~UINT64_C(0xff004)) != PLATFORM_LAPIC_BASE);
	machine->n_messages++;
	machine->n_calls++;
	return machine->host_full ? -1 : 0;
}

static bool send(void *ctx, uint8_t)
{
	struct machine *machine = ctx;

	machine->n_calls++;
	return !machine->host_full;
}

static bool can_send(void *ctx)
{
	struct machine *machine = ctx;

	machine->n_calls++;
	return !machine->host_full;
}

static void want_input(void *ctx)
{
	struct machine *machine = ctx;

	machine->n_calls++;
	machine->wants_input = true;
}

static void request(void *ctx)
{
	struct machine *machine = ctx;

	machine->n_calls++;
	machine->n_requests++;
}

static void request_with(void *ctx, uint8_t)
{
	request(ctx);
}

static void put(void *ctx, uint8_t)
{
	((struct machine *)ctx)->n_calls++;
}

static uint64_t now(void *ctx)
{
	return ((struct machine *)ctx)->now_ns;
}

static const struct serial_ops serial_ops = { send, can_send, want_input };
static const struct power_ops power_ops = { request, request, request_with, now, request };

static void init(struct machine *machine)
{
	struct irq_line serial_line = { &machine->ioapic.chip, PLATFORM_SERIAL_GSI };
	struct irq_line power_line = { &machine->ioapic.chip, PLATFORM_GED_GSI };

	memset(machine, 0, sizeof(*machine));
	ioapic_init(&machine->ioapic, PLATFORM_N_GSIS, send_msi, machine);
	serial_init(&machine->serial, serial_line, &serial_ops, machine);
	power_init(&machine->power, power_line, &power_ops, machine);
	pc_reset_init(&machine->pc_reset, request, machine);
	rtc_init(&machine->rtc, now, machine);
	debug_console_init(&machine->debug_console, true, put, machine);
	debug_exit_init(&machine->debug_exit, false, request_with, machine);
	bus_add(&machine->mmio, PLATFORM_IOAPIC_BASE, PLATFORM_IOAPIC_SIZE,
		&machine->ioapic.chip.dev);
	bus_add(&machine->pio, PLATFORM_SERIAL_PORT, PLATFORM_SERIAL_PORT_SIZE,
		&machine->serial.dev);
	bus_add(&machine->pio, PLATFORM_PM_PORT, PLATFORM_PM_PORT_SIZE, &machine->power.dev);
	bus_add(&machine->pio, PLATFORM_KEYBOARD_PORT, 1, &machine->pc_reset.keyboard);
	bus_add(&machine->pio, PLATFORM_RESET_CONTROL_PORT, 1, &machine->pc_reset.control);
	bus_add(&machine->pio, PLATFORM_RTC_PORT, PLATFORM_RTC_PORT_SIZE, &machine->rtc.dev);
	bus_add(&machine->pio, PLATFORM_DEBUG_CONSOLE_PORT, 1, &machine->debug_console.dev);
	bus_add(&machine->pio, PLATFORM_DEBUG_EXIT_PORT_A, DEBUG_EXIT_SIZE,
		&machine->debug_exit.dev);
}

static void fini(struct machine *machine)
{
	debug_exit_fini(&machine->debug_exit);
	debug_console_fini(&machine->debug_console);
	rtc_fini(&machine->rtc);
	pc_reset_fini(&machine->pc_reset);
	power_fini(&machine->power);
	serial_fini(&machine->serial);
	ioapic_fini(&machine->ioapic);
}

/* What every port and every register of the I/O APIC reads as: at the first start, in `fresh`. */
#define MAX_PROBES   128
#define IOAPIC_INDEX 0x10

static uint64_t fresh[MAX_PROBES];

/* Random bytes are never the same. */
static void probe(const struct machine *machine, uint64_t seen[MAX_PROBES])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < machine->pio.n_ranges; i++)
		for (uint64_t offset = 0; offset < machine->pio.range[i].size; offset++)
			if (machine->pio.range[i].base + offset != PLATFORM_PM_SAVE)
				seen[n++] = bus_read(
					&machine->pio, machine->pio.range[i].base + offset, 1);
	for (unsigned int i = 0; i < IOAPIC_INDEX + 2 * PLATFORM_MAX_GSIS; i++) {
		seen[n++] = bus_read(&machine->mmio, PLATFORM_IOAPIC_BASE + 0x10, 4);
		bus_write(&machine->mmio, PLATFORM_IOAPIC_BASE, 4, i + 1);
	}
	BUG_ON(n > MAX_PROBES);
}

/* ---- what holds after every step ---- */

static void check_serial(const struct serial *serial)
{
	bool interrupt = (serial->ier & UART_IER_RLSI && serial->rx_overrun) ||
	                 (serial->ier & UART_IER_RDI && serial->rx_count) ||
	                 (serial->ier & UART_IER_THRI && serial->tx_empty_pending);

	BUG_ON(serial->line_high != interrupt);
	BUG_ON(serial->rx_head >= SERIAL_FIFO_SIZE || serial->rx_count > SERIAL_FIFO_SIZE);
	BUG_ON(serial_receive_room(serial) > SERIAL_FIFO_SIZE);
	BUG_ON(serial->tx_busy && serial->tx_empty_pending);
	BUG_ON(serial->ier > 0x0f || serial->mcr > 0x1f);
}

static void check_ioapic(const struct ioapic *ioapic)
{
	BUG_ON(ioapic->select > 0xff || ioapic->id & 0xf0ffffff);
	for (unsigned int pin = 0; pin < PLATFORM_MAX_GSIS; pin++)
		BUG_ON(ioapic->redirection[pin] & (1u << 12 | 1u << 14));
}

/* Nobody holds a device's lock between the steps. */
static void check_lock(const struct bus *bus)
{
	for (unsigned int i = 0; i < bus->n_ranges; i++) {
		BUG_ON(pthread_mutex_trylock(&bus->range[i].dev->lock));
		pthread_mutex_unlock(&bus->range[i].dev->lock);
	}
}

static void check(const struct machine *machine, size_t room_before)
{
	check_serial(&machine->serial);
	check_ioapic(&machine->ioapic);
	BUG_ON(machine->power.events & ~(PLATFORM_PM_EVENT_POWER | PLATFORM_PM_EVENT_VMGENID));
	BUG_ON(machine->power.sleep_status);
	BUG_ON(machine->pc_reset.control_value & ~0x0e);
	BUG_ON(machine->rtc.index > 0x7f || machine->rtc.reg_a > 0x7f || machine->rtc.reg_b & 0x78);
	check_lock(&machine->pio);
	check_lock(&machine->mmio);
	BUG_ON(machine->n_calls > MOST_CALLS || machine->n_requests > 1);
	/* Whoever had no room and now has says so: nobody would ask. */
	BUG_ON(!room_before && serial_receive_room(&machine->serial) && !machine->wants_input);
}

/* ---- steps ---- */

/* The serial port, and the I/O APIC when what a pin missed is let through. */
static bool may_interrupt(const struct machine *machine, const struct bus *bus, uint64_t addr)
{
	return bus == &machine->pio ? addr - PLATFORM_SERIAL_PORT < PLATFORM_SERIAL_PORT_SIZE
	                            : addr - PLATFORM_IOAPIC_BASE < PLATFORM_IOAPIC_SIZE;
}

static bool may_end(uint64_t port)
{
	return port - PLATFORM_PM_PORT < PLATFORM_PM_PORT_SIZE || port == PLATFORM_KEYBOARD_PORT ||
	       port == PLATFORM_RESET_CONTROL_PORT ||
	       port - PLATFORM_DEBUG_EXIT_PORT_A < DEBUG_EXIT_SIZE;
}

static void access_bus(struct machine *machine, struct fuzz_input *input, const struct bus *bus,
	uint64_t addr, unsigned int size, bool is_write)
{
	if (is_write)
		bus_write(bus, addr, size, take(input, size));
	else
		bus_read(bus, addr, size);
	/* Who asks for no interrupt and no end gets none: these come from few places. */
	BUG_ON(machine->n_messages && !may_interrupt(machine, bus, addr));
	BUG_ON(machine->n_requests && !(bus == &machine->pio && is_write && may_end(addr)));
}

static void access_device(struct machine *machine, struct fuzz_input *input, uint8_t what)
{
	const struct bus *bus = what & 1 ? &machine->mmio : &machine->pio;
	const struct bus_range *range = &bus->range[take(input, 1) % bus->n_ranges];
	uint64_t offset = take(input, 1);

	access_bus(machine, input, bus, range->base + offset % range->size, 1u << (what >> 2 & 3),
		what & 0x40);
}

static void access_anywhere(struct machine *machine, struct fuzz_input *input, uint8_t what)
{
	const struct bus *bus = what & 0x10 ? &machine->mmio : &machine->pio;
	uint64_t addr = take(input, what & 0x10 ? 8 : 2);

	access_bus(machine, input, bus, addr, 1u << (what >> 2 & 3), what & 0x20);
}

/* A host gives no more than it was told that there is room for. */
static void type(struct machine *machine, size_t n)
{
	struct serial *serial = &machine->serial;
	bool overrun = serial->rx_overrun;
	uint8_t data[SERIAL_FIFO_SIZE];

	if (n > serial_receive_room(serial))
		n = serial_receive_room(serial);
	for (size_t i = 0; i < n; i++)
		data[i] = machine->next_input++;
	serial_receive(serial, data, n);
	BUG_ON(serial->rx_overrun != overrun);
	machine->wants_input = serial_receive_room(serial) > 0;
}

static void set_host(struct machine *machine, bool full)
{
	machine->host_full = full;
	if (full)
		return;
	serial_send_ready(&machine->serial);
	BUG_ON(machine->serial.tx_busy);
}

/* Whatever the guest did before, it finds the machine as at its first start. */
static void reset(struct machine *machine)
{
	uint64_t seen[MAX_PROBES] = { 0 };

	machine->host_full = false;
	machine->now_ns = 0;
	for (unsigned int i = 0; i < 2; i++) {
		bus_reset(&machine->pio);
		bus_reset(&machine->mmio);
		BUG_ON(serial_receive_room(&machine->serial));
		if (i == 0)
			probe(machine, seen);
	}
	BUG_ON(memcmp(seen, fresh, sizeof(seen)) != 0);
	machine->n_calls = machine->n_messages = 0;
}

static void host_event(struct machine *machine, struct fuzz_input *input, uint8_t what)
{
	pthread_mutex_t *serial = &machine->serial.dev.lock, *power = &machine->power.dev.lock;

	switch (what & 3) {
	case 0:
		pthread_mutex_lock(serial);
		type(machine, what >> 2);
		pthread_mutex_unlock(serial);
		break;
	case 1:
		pthread_mutex_lock(power);
		if (what & 4)
			power_tell_vmgenid(&machine->power);
		else
			power_press_button(&machine->power);
		pthread_mutex_unlock(power);
		break;
	case 2:
		pthread_mutex_lock(serial);
		set_host(machine, what & 4);
		pthread_mutex_unlock(serial);
		break;
	default:
		if (what & 4)
			machine->now_ns = take(input, 8);
		else
			reset(machine);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct machine machine;
	struct fuzz_input input = { data, size };

	init(&machine);
	probe(&machine, fresh);
	fini(&machine);
	init(&machine);
	while (input.size) {
		size_t room = serial_receive_room(&machine.serial);
		uint8_t what = take8(&input);

		machine.n_calls = machine.n_messages = machine.n_requests = 0;
		switch (what >> 6) {
		case 2: host_event(&machine, &input, what & 0x3f); break;
		case 3: access_anywhere(&machine, &input, what); break;
		default: access_device(&machine, &input, what); break;
		}
		check(&machine, room);
	}
	fini(&machine);
	return 0;
}
