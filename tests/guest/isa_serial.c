// SPDX-License-Identifier: MIT
/* isa_serial.c - input as on a PC of old: COM1 on pin 4, and nothing said of OUT2 (NuttX) */

#include "guest.h"

#define COM1_PIN 4
#define IER_RDI  0x01

static volatile uint32_t n_received;
static volatile bool line_done;
static char line[256];

static void serial_interrupt(void)
{
	while (inb(SERIAL + 5) & 1) {
		char c = (char)inb(SERIAL);

		if (c == '\n')
			line_done = true;
		else if (n_received < sizeof(line))
			line[n_received++] = c;
	}
}

void guest_main(void)
{
	lapic_enable();
	irq_route(COM1_PIN, 0, serial_interrupt);
	put("ready\n");
	outb(SERIAL + 1, IER_RDI);
	wait_until(line_done);
	outb(SERIAL + 1, 0);
	check(true, "a line came by interrupts");
	put("# line ");
	put_number(n_received);
	put(" ");
	put_hex(checksum(line, n_received));
	put("\n");
	checks_done();
}
