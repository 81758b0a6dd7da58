// SPDX-License-Identifier: MIT
/* lives.c - reset until the input says q: one byte a life */

#include "guest.h"

static uint32_t counter = 1; /* changed below: a second life must find it fresh */

void guest_main(void)
{
	volatile uint32_t *ram = (volatile uint32_t *)0x700000;
	char c;

	put("life: counter ");
	put_number(counter++);
	put(", ram ");
	put_number(*ram);
	*ram = 1;
	put("\n");
	c = get_char();
	put_char(c);
	put_char('\n');
	if (c == 'q')
		return;
	outb(PM_RESET, 1);
	halt_forever();
}
