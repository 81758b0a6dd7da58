// SPDX-License-Identifier: MIT
/* late.c - listen for the power button only some seconds after it may have been pressed */

#include "guest.h"

static volatile uint32_t events;

static void button_interrupt(void)
{
	events = inb(PM_EVENTS);
}

void guest_main(void)
{
	lapic_enable();
	put("ready\n");
	while (get_char() != 'l')
		;
	irq_route(GED_GSI, 1, button_interrupt);
	put("listening\n");
	wait_until(events);
	put("pressed\n");
}
