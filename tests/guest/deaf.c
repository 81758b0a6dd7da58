// SPDX-License-Identifier: MIT
/* deaf.c - take the power button and go on */

#include "guest.h"

static volatile uint32_t n_presses;

static void button_interrupt(void)
{
	if (inb(PM_EVENTS))
		n_presses++;
}

void guest_main(void)
{
	uint32_t told = 0;

	lapic_enable();
	irq_route(GED_GSI, 1, button_interrupt);
	put("ready\n");
	for (;;) {
		wait_until(n_presses != told);
		told = n_presses;
		put("pressed\n");
	}
}
