// SPDX-License-Identifier: MIT
/* button.c - halt until the power button's interrupt comes, then power off as a kernel would
 *
 * One that goes on from a snapshot is told that it is a copy, by the same interrupt, and says so.
 */

#include "guest.h"

#define COPY 2 /* the generation ID is another */

static volatile uint32_t events, again;

static void button_interrupt(void)
{
	uint32_t now = inb(PM_EVENTS), then = inb(PM_EVENTS);

	if ((now | then) & COPY)
		put("a copy\n");
	events |= (now | then) & ~COPY;
	again |= now & then; /* another may have come in between */
}

void guest_main(void)
{
	lapic_enable();
	irq_route(GED_GSI, 1, button_interrupt);
	put("ready\n");
	wait_until(events);
	check_equal(events, 1, "the event is the power button");
	check_equal(again, 0, "reading the events clears them");
	checks_done();
}
