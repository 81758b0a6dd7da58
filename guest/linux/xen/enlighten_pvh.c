// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * enlighten_pvh.c - Xen's part of the PVH entry
 *
 * The strong ones of the weak routines in the common code. They run before .bss
 * is cleared: what they leave behind is in .data. Hypercalls work from the
 * first on, as the kernel chooses the instruction when one is made.
 */
#include <linux/acpi.h>
#include <linux/errno.h>
#include <linux/export.h>
#include <linux/init.h>
#include <linux/kernel.h>

#include <asm/bootparam.h>
#include <asm/x86_init.h>
#include <asm/xen/hypercall.h>
#include <asm/xen/interface.h>

#include <xen/acpi.h>
#include <xen/interface/memory.h>
#include <xen/interface/physdev.h>
#include <xen/interface/platform.h>
#include <xen/xen.h>

#include <asm/pvh/linux.h>
#include <asm/pvh/pvh.h>

#include "xen-ops.h"

bool xen_pvh __ro_after_init;
EXPORT_SYMBOL_GPL(xen_pvh);

int __init pvh_xen_init(const struct pvh_info *info)
{
	xen_pvh = true;
	xen_domain_type = XEN_HVM_DOMAIN;
	xen_start_flags = info->flags;
	x86_init.oem.banner = xen_banner;
	if (xen_initial_domain())
		x86_init.oem.arch_setup = xen_add_preferred_consoles;
	return 0;
}

/*
 * Xen's entries have 20 bytes, where those of *out have 24: stretched from the
 * last to the first, none is overwritten before it was read.
 */
int __init pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	struct boot_e820_entry *entries = (void *)out;
	struct xen_memory_map map = {
		.nr_entries = *n,
	};
	uint32_t i;

	set_xen_guest_handle(map.buffer, entries);
	if (HYPERVISOR_memory_op(XENMEM_memory_map, &map))
		return -PVH_E_XEN;
	*n = min(*n, map.nr_entries);
	for (i = *n; i--;) {
		struct boot_e820_entry entry = entries[i];

		out[i].addr = entry.addr;
		out[i].size = entry.size;
		out[i].type = entry.type;
		out[i].reserved = 0;
	}
	return 0;
}

/* The console of the machine, of which dom0 hears from Xen only. */
static void __init init_dom0_console(struct boot_params *params)
{
	struct xen_platform_op op = {
		.cmd = XENPF_get_dom0_console,
	};
	int size = HYPERVISOR_platform_op(&op);

	if (size > 0)
		xen_init_vga(&op.u.dom0_console, min_t(size_t, size, sizeof(op.u.dom0_console)),
			&params->screen_info);
}

void __init pvh_xen_boot_params(struct boot_params *params)
{
	xen_efi_init(params);
	if (xen_initial_domain())
		init_dom0_console(params);
}

#ifdef CONFIG_XEN_DOM0
/* For xen-pciback, from 6.12 on: have Xen route a device's interrupt. */
int xen_pvh_setup_gsi(int gsi, int trigger, int polarity)
{
	struct physdev_setup_gsi setup = {
		.gsi = gsi,
		.triggering = trigger == ACPI_LEVEL_SENSITIVE,
		.polarity = polarity == ACPI_ACTIVE_LOW,
	};
	int ret = HYPERVISOR_physdev_op(PHYSDEVOP_setup_gsi, &setup);

	/* It may be routed already. */
	return ret == -EEXIST ? 0 : ret;
}
EXPORT_SYMBOL_GPL(xen_pvh_setup_gsi);
#endif
