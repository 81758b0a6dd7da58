// SPDX-License-Identifier: MIT
/* triplefault.c - an exception without an IDT, with a known value in a register */

#include "guest.h"

void guest_main(void)
{
	static const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) none = { 0, 0 };

	put("ready\n");
	__asm__ volatile("lidt %0; movl $0x0badcafe, %%esi; ud2" : : "m"(none) : "esi");
}
