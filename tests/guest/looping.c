// SPDX-License-Identifier: MIT
/* looping.c - reset at once, or when the power button is pressed if the command line says so */

#include "guest.h"

static void button_interrupt(void)
{
	inb(PM_EVENTS);
	outb(PM_RESET, 1);
}

void guest_main(void)
{
	put("life\n");
	if (bytes_equal(command_line(), "button", 6)) {
		lapic_enable();
		irq_route(GED_GSI, 1, button_interrupt);
		put("ready\n");
		wait_until(false);
	}
	outb(PM_RESET, 1);
	halt_forever();
}
