// SPDX-License-Identifier: MIT
/* echo.c - the serial line, polled: tell every byte that comes, until a q */

#include "guest.h"

void guest_main(void)
{
	uint32_t n = 0;
	char c;

	put("ready\n");
	do {
		c = get_char();
		put("byte ");
		put_hex((uint8_t)c);
		put("\n");
		n++;
	} while (c != 'q');
	put("bytes ");
	put_number(n);
	put("\n");
}
