// SPDX-License-Identifier: GPL-2.0 OR MIT
/* end.c - tell the world how it went, by the first way that works
 *
 *	Xen                   shut down: poweroff if all is well, crash if not; reboot if all is
 *well in the first domain, whose end is the machine's QEMU's isa-debug-exit its exit status is 33
 *or 35 ACPI                  power-off if all is well, reset if not
 */

#include "check.h"

#include <pvh/xen.h>

#define DEBUG_EXIT      0xf4
#define DEBUG_EXIT_WELL 0x10
#define DEBUG_EXIT_NOT  0x11

static void end_xen(bool well)
{
	bool first = handover.info.flags & XEN_SIF_INITDOMAIN;

	if (!well)
		xen_shutdown(XEN_SHUTDOWN_CRASH);
	else
		xen_shutdown(first ? XEN_SHUTDOWN_REBOOT : XEN_SHUTDOWN_POWEROFF);
}

void end(bool well)
{
	print(well ? "# all that must be is so\n" : "# not all that must be is so\n");
	if (on_xen())
		end_xen(well);
	outb(DEBUG_EXIT, well ? DEBUG_EXIT_WELL : DEBUG_EXIT_NOT);
	if (well)
		acpi_power_off();
	else
		acpi_reset();
	print("# no way to end was found\n");
	for (;;)
		__asm__ volatile("cli; hlt");
}
