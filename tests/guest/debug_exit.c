// SPDX-License-Identifier: MIT
/* debug_exit.c - end by QEMU's isa-debug-exit: the words are the port, and the value in two
 * hexadecimal digits
 */

#include "guest.h"

static uint32_t hex(char c)
{
	return (uint32_t)(c <= '9' ? c - '0' : c - 'a' + 10);
}

void guest_main(void)
{
	const char *words = command_line();
	uint32_t port = 0;

	for (words += 2; *words != ' '; words++)
		port = port << 4 | hex(*words);
	outb((uint16_t)port, (uint8_t)(hex(words[1]) << 4 | hex(words[2])));
	put("still here\n");
}
