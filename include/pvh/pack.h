/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* pack.h - where a kernel that was packed into pvh-shim lies
 *
 * The descriptor of a note in the shim's ELF (owner "pvh-shim", type 1).  The note lies in memory
 * that is loaded with the shim, so the shim reads at run time what `pronto pack` wrote into the
 * file.  Little endian; 4-aligned, as notes are.
 */
#ifndef PVH_PACK_H
#define PVH_PACK_H

#include <stdint.h>

#define PVH_PACK_OWNER "pvh-shim"
#define PVH_PACK_NOTE  1

/* Offset from the image's first loaded byte, as the image may be moved as a whole.  Size 0: there
 * is none.
 */
struct pvh_pack_part {
	uint64_t offset;
	uint64_t size;
} __attribute__((packed, aligned(4)));

struct pvh_pack {
	struct pvh_pack_part kernel;
	struct pvh_pack_part initrd;
	struct pvh_pack_part cmdline; /* the text, without a NUL */
};

_Static_assert(sizeof(struct pvh_pack) == 48, "pack");

#endif
