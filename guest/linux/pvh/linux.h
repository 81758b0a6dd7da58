/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * linux.h - what the PVH entry has for Linux alone, beside the core (pvh.h)
 */
#ifndef _ASM_X86_PVH_LINUX_H
#define _ASM_X86_PVH_LINUX_H

#include <linux/types.h>

struct boot_params;

/* Handed to the kernel's own entry. In .init.data, as that clears .bss. */
extern struct boot_params pvh_bootparams;

/* By head.S only: its argument comes in %edi, or on a 32-bit kernel in %eax. */
void pvh_prepare(u32 start_info);

/*
 * On Xen only: add to *params what Xen alone can tell. Weak, and empty, without
 * CONFIG_XEN_PVH.
 */
void pvh_xen_boot_params(struct boot_params *params);

#endif
