// SPDX-License-Identifier: MIT
/* say.c - say the command line as it is, and nothing else */

#include "guest.h"

void guest_main(void)
{
	put(command_line());
}
