/* SPDX-License-Identifier: MIT */
/* words.h - words on a kernel's command line: what cannot end well here, and what is to be added */
#ifndef BOOT_WORDS_H
#define BOOT_WORDS_H

#include <stdbool.h>

/* The first word of `cmdline` that has Linux do without what this machine has nothing else for, or
 * NULL. A static string.  What stands behind a "--" is for init.
 */
const char *words_find_fatal(const char *cmdline);

/* A copy of `cmdline` that names `n` slots of virtio-mmio, bus/platform.h's, before what stands
 * behind a "--": virtio_mmio.device=SIZE@BASE:GSI, as Linux's driver, FreeBSD, NetBSD, OSv and
 * Nanos read it.  On the heap; NULL if there is no memory.
 */
char *words_name_slots(const char *cmdline, unsigned int n);

/* Whether it has Linux look for no PCI. */
bool words_turn_pci_off(const char *cmdline);

#endif
