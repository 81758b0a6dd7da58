// SPDX-License-Identifier: MIT
/* spin.c - turn for ever, without an exit */

#include "guest.h"

void guest_main(void)
{
	put("ready\n");
	for (;;)
		cpu_relax();
}
