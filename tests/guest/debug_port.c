// SPDX-License-Identifier: MIT
/* debug_port.c - say all on port 0xe9, as GRUB's xen_pvh and some unikernels do; with the word
 * "ask" only if somebody listens there
 */

#include "guest.h"

#define DEBUG_PORT 0xe9

static void say(const char *text)
{
	uint32_t n = string_size(text);

	__asm__ volatile("rep outsb" : "+S"(text), "+c"(n) : "d"(DEBUG_PORT) : "memory");
}

void guest_main(void)
{
	if (!bytes_equal(command_line(), "ask", 4) || inb(DEBUG_PORT) == DEBUG_PORT)
		say("this is all\nthat it says\n");
}
