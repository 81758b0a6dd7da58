// SPDX-License-Identifier: MIT
/* sweep.c - write a number to each page of much memory, one after the other, then the next number
 *
 * Each page has to have the number before, or else the guest resets: so a page that was lost on the
 * way, or is older than the others, is found at the next sweep.  A dot is said for each.  The
 * command line has how many MiB it is, from 16 MiB on, and after how many sweeps it rests; 0:
 * never.  The power button ends it.
 */

#include "guest.h"

#define START 0x1000000u
#define PAGE  0x1000u

#define BUTTON 1 /* events */
#define COPY   2

static volatile bool is_done;

static void button_interrupt(void)
{
	uint8_t events = inb(PM_EVENTS);

	if (events & COPY)
		put("a copy\n");
	is_done |= events & BUTTON;
}

static const char *read_number(const char *text, uint32_t *number)
{
	*number = 0;
	while (*text >= '0' && *text <= '9')
		*number = *number * 10 + (uint32_t)(*text++ - '0');
	return *text == ' ' ? text + 1 : text;
}

/* In both ends of each page. */
static void sweep(uint32_t size, uint32_t number)
{
	for (uint32_t at = START; at < START + size; at += PAGE) {
		volatile uint32_t *first = (volatile uint32_t *)at;
		volatile uint32_t *last = (volatile uint32_t *)(at + PAGE - sizeof(*last));

		if (*first != number - 1 || *last != number - 1) {
			outb(PM_RESET, 1);
			halt_forever();
		}
		*first = number;
		*last = number;
	}
}

void guest_main(void)
{
	uint32_t mib, most;

	lapic_enable();
	irq_route(GED_GSI, 1, button_interrupt);
	read_number(read_number(command_line(), &mib), &most);
	interrupts_on();
	for (uint32_t number = 1; !is_done && (!most || number <= most); number++) {
		sweep(mib << 20, number);
		put(".");
	}
	interrupts_off();
	put("done");
	wait_until(is_done);
}
