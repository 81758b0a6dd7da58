// SPDX-License-Identifier: MIT
/* mark.c - leave marks on the timeline */

#include "guest.h"

void guest_main(void)
{
	put("marking\n");
	outb(PM_MARK, 7);
	outb(PM_MARK, 1);
	outb(PM_MARK, 1);
	outb(PM_MARK, 255);
}
