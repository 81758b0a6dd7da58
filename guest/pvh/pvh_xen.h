/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* pvh_xen.h - hypercalls, for programs built with XEN_PVH that run on Xen
 *
 * Usable once pvh_main() was called with guest == PVH_GUEST_XEN; elsewhere the instruction is an
 * exception.  Source: Xen's public/xen.h, console_io of public/io/console.h, public/sched.h.
 */
#ifndef PVH_PVH_XEN_H
#define PVH_PVH_XEN_H

#include <stdint.h>

#include <pvh/xen.h>

/* Hypercall `number` (XEN_HYPERCALL_*) with up to three arguments, those not used 0.  Pointers
 * among them are addresses in the current address space.  Returns what Xen returns: mostly 0 or
 * -errno.
 */
long pvh_xen_hypercall(uint32_t number, unsigned long a, unsigned long b, unsigned long c);

/* Write to Xen's console.  A domain may that is privileged, or if Xen was built for debugging. */
void pvh_xen_console_write(const char *text, uint32_t size);

/* End the domain: XEN_SHUTDOWN_*.  Returns only if Xen refuses. */
void pvh_xen_shutdown(uint32_t reason);

#endif
