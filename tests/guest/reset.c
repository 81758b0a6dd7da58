// SPDX-License-Identifier: MIT
/* reset.c - only the FADT's value resets; nothing runs after it */

#include "guest.h"

void guest_main(void)
{
	outb(PM_RESET, 0);
	outb(PM_RESET, 2);
	check(true, "still here after what does not reset");
	checks_done();
	outb(PM_RESET, 1);
	put("after reset\n");
	halt_forever();
}
