// SPDX-License-Identifier: MIT
/* poweroff.c - only S5 with the enable bit powers off; nothing runs after it */

#include "guest.h"

void guest_main(void)
{
	outb(PM_SLEEP_CTL, 5 << 2);        /* not enabled */
	outb(PM_SLEEP_CTL, 3 << 2 | 0x20); /* S3 is not offered */
	check(true, "still here after what does not power off");
	checks_done();
	outb(PM_SLEEP_CTL, 5 << 2 | 0x20);
	put("after power-off\n");
	halt_forever();
}
