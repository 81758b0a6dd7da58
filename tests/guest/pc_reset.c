// SPDX-License-Identifier: MIT
/* pc_reset.c - resets as of a PC: the first word says by which port */

#include "guest.h"

/* As Linux does with reboot=k, which asks up to 65536 times, ten times, whether a command is
 * welcome. */
static void by_keyboard(void)
{
	uint32_t n = 0;

	while (inb(0x64) & 2 && n < 0x10000)
		n++;
	check_equal(n, 0, "the keyboard controller takes a command");
	outb(0x64, 0xfe);
}

/* reboot=p */
static void by_control_register(void)
{
	uint8_t value = inb(0xcf9) & ~6;

	check_equal(value, 0, "the reset control register is 0");
	outb(0xcf9, value | 2);
	check_equal(inb(0xcf9), 2, "it keeps the way to reset");
	outb(0xcf9, value | 6);
}

void guest_main(void)
{
	if (bytes_equal(command_line(), "keyboard", 9))
		by_keyboard();
	else
		by_control_register();
	put("after the reset\n");
	halt_forever();
}
