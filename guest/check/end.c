// SPDX-License-Identifier: GPL-2.0 OR MIT
/* end.c - tell the world how it went, by the first way that works
 *
 * Xen: poweroff if all is well, else crash.
 * QEMU's isa-debug-exit: its exit status is 33 or 35.
 * ACPI: power-off or reset.
 * Otherwise the processor shuts down; then the last lines say what the status does not.
 */

#include "check.h"

#include <pvh/xen.h>

#define DEBUG_EXIT      0xf4
#define DEBUG_EXIT_WELL 0x10
#define DEBUG_EXIT_NOT  0x11

#define END_PATIENCE 100000
#define UNUSED_PORT  0x80

/* An exception without a table to look it up in. */
static _Noreturn void shut_down(void)
{
	static const uint16_t no_idt[3];

	__asm__ volatile("lidt %0; ud2" : : "m"(no_idt));
	__builtin_unreachable();
}

void end(bool well)
{
	print(well ? "# all that must be is so\n" : "# not all that must be is so\n");
	if (on_xen())
		xen_shutdown(well ? XEN_SHUTDOWN_POWEROFF : XEN_SHUTDOWN_CRASH);
	outb(DEBUG_EXIT, well ? DEBUG_EXIT_WELL : DEBUG_EXIT_NOT);
	if (well ? acpi_power_off() : acpi_reset())
		for (uint32_t i = 0; i < END_PATIENCE; i++)
			inb(UNUSED_PORT);
	print("# there was no other way to say so than to crash\n");
	shut_down();
}
