// SPDX-License-Identifier: MIT
/* isa_serial.c - input as on a PC of old: COM1 on pin 4, and nothing said of OUT2 (NuttX) */

#include "guest.h"

#define COM1_PIN 4
#define IER_RDI  0x01

void guest_main(void)
{
	lapic_enable();
	irq_route(COM1_PIN, 0, line_receive);
	put("ready\n");
	outb(SERIAL + 1, IER_RDI);
	wait_until(line_is_done());
	outb(SERIAL + 1, 0);
	check(true, "a line came by interrupts");
	line_report();
	checks_done();
}
