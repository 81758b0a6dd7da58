// SPDX-License-Identifier: MIT
/* template.c - ask to be saved, and begin there; then say eight random bytes, and what is typed, to
 * a q
 *
 * With the word "never" it does not ask.
 */

#include "guest.h"

void guest_main(void)
{
	char c;

	put("boots\n");
	if (!bytes_equal(command_line(), "never", 5))
		outb(PM_SAVE, 0);
	put("begins ");
	for (unsigned int i = 0; i < 8; i++)
		put_hex(inb(PM_SAVE));
	put("\n");
	do {
		c = get_char();
		put_char(c);
	} while (c != 'q');
	put("\n");
}
