// SPDX-License-Identifier: MIT
/* flood.c - as many numbered lines as the command line says, with or without looking whether the
 * line is free; then an end mark
 */

#include "guest.h"

void guest_main(void)
{
	const char *text = command_line();
	bool heedless = *text == '!';
	uint32_t n = 0;

	for (text += heedless; *text >= '0' && *text <= '9'; text++)
		n = n * 10 + (uint32_t)(*text - '0');
	for (uint32_t i = 0; i < n; i++) {
		char line[] = "00000000 abcdefghijklmnopqrstuvwxyz0123456789abcdefghijklmnopqr\n";
		uint32_t rest = i;

		for (int at = 7; rest; at--, rest /= 10)
			line[at] = (char)('0' + rest % 10);
		if (heedless)
			__asm__ volatile("rep outsb"
					 :
					 : "S"(line), "c"(sizeof(line) - 1), "d"(SERIAL)
					 : "memory");
		else
			put(line);
	}
	outb(PM_MARK, 9);
}
