// SPDX-License-Identifier: MIT
/* serial_irq.c - the serial line by interrupts, through I/O APIC and local APIC
 *
 * Sends a text by "transmitter empty" interrupts alone, then sums what comes in by receive
 * interrupts until a newline.
 */

#include "guest.h"

#define IER_RDI  0x01
#define IER_THRI 0x02

static const char text[] = "one byte after another, each by an interrupt of its own\n";

static volatile uint32_t n_sent, n_interrupts;

/* One byte out an interrupt: the next one must come by the edge that this one makes. */
static void serial_interrupt(void)
{
	uint8_t id = inb(SERIAL + 2) & 0x0f;

	n_interrupts++;
	if (id == 0x02 && n_sent < sizeof(text) - 1)
		outb(SERIAL, (uint8_t)text[n_sent++]);
	if (id == 0x04 || id == 0x0c)
		line_receive();
}

void guest_main(void)
{
	uint32_t n_for_output;

	lapic_enable();
	irq_route(SERIAL_GSI, 0, serial_interrupt);
	outb(SERIAL + 2, 0x07); /* FIFOs on and clear */
	outb(SERIAL + 4, 0x0b); /* DTR, RTS, OUT2 */
	outb(SERIAL + 1, IER_THRI);
	wait_until(n_sent == sizeof(text) - 1);
	outb(SERIAL + 1, 0);
	n_for_output = n_interrupts;
	check(n_for_output >= sizeof(text) - 1, "each byte went out by an interrupt");
	put("ready\n");
	outb(SERIAL + 1, IER_RDI);
	wait_until(line_is_done());
	outb(SERIAL + 1, 0);
	check(n_interrupts > n_for_output, "input came by interrupts");
	line_report();
	checks_done();
}
