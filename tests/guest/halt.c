// SPDX-License-Identifier: MIT
/* halt.c - halt for ever, interrupts off */

#include "guest.h"

void guest_main(void)
{
	put("ready\n");
	halt_forever();
}
