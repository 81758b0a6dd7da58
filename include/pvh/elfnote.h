/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* elfnote.h - the ELF notes by which a kernel offers its PVH entry
 *
 * Source: Xen's public/elfnote.h.  The owner's name is "Xen" with its NUL; name and descriptor are
 * padded to 4 bytes by the ABI (some linkers pad to 8 all the same).
 */
#ifndef PVH_ELFNOTE_H
#define PVH_ELFNOTE_H

#define PVH_ELFNOTE_OWNER "Xen"

/* Physical address of the 32-bit entry point.  4 or 8 bytes; the low 32 bits count. */
#define PVH_ELFNOTE_PHYS32_ENTRY 18

/* The image may be loaded elsewhere.  Up to three u32: alignment of the start, least address of the
 * start, greatest address of the last byte.
 */
#define PVH_ELFNOTE_PHYS32_RELOC 19

/* What the kernel is, a string: "linux".  Of no meaning for PVH. */
#define PVH_ELFNOTE_GUEST_OS 6

#define PVH_RELOC_DEFAULT_ALIGN 0x200000u

#endif
