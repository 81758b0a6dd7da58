// SPDX-License-Identifier: MIT
/* all_marks.c - leave every mark on the timeline, and stay */

#include "guest.h"

void guest_main(void)
{
	for (unsigned int mark = 0; mark < 256; mark++)
		outb(PM_MARK, (uint8_t)mark);
	put("ready\n");
	for (;;)
		__asm__ volatile("hlt");
}
