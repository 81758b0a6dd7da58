// SPDX-License-Identifier: MIT
/* nowhere.c - jump to where no memory is: KVM cannot fetch what is there */

#include "guest.h"

void guest_main(void)
{
	put("ready\n");
	__asm__ volatile("movl $0x0badcafe, %%esi; jmp *%0" : : "r"(0xd8000000u) : "esi");
}
