/* SPDX-License-Identifier: MIT */
/* place.h - decide where in guest RAM the kernel and the modules go; nothing is written here */
#ifndef BOOT_PLACE_H
#define BOOT_PLACE_H

#include "boot/memmap.h"
#include "image/elf.h"
#include "util/diag.h"

#include <stdbool.h>

#define PLACE_MAX_MODULES 2

/* Store in *offset what is to be added to every address of the image: 0 if it can lie where it was
 * linked to, else the place nearest to the top of RAM that its PHYS32_RELOC allows (Xen's rule).
 * -ENOSPC if there is none, -ENOEXEC if no memory would give it one.  The hand-over structures and
 * page 0 are never given away for a moved image.
 */
int place_kernel(
	const struct memmap *map, const struct elf_image *elf, int64_t *offset, struct diag *diag);

/* What is in RAM already: the image, where `offset` puts it, and modules; and what the kernel that
 * pvh-shim is given will take, if that is to be spared (empty: nothing).
 */
struct place_taken {
	uint64_t room_start, room_end;
	const struct elf_image *elf;
	int64_t offset;
	struct hvm_modlist_entry module[PLACE_MAX_MODULES];
	uint32_t n_modules;
};

/* Store in *gpa the highest page below 1 GiB, or, if there is none, below 3 GiB, or, if `anywhere`,
 * above 4 GiB, from which `size` > 0 bytes are free.  The room is used only if all else is. -ENOSPC
 * if there is none; `name` is the module's, for people.
 */
int place_module(const struct memmap *map, const struct place_taken *taken, const char *name,
	uint64_t size, bool anywhere, gpa_t *gpa, struct diag *diag);

/* Whether a segment of the image lies in any of these bytes. */
bool place_is_taken(const struct place_taken *taken, gpa_t gpa, uint64_t size);

/* Where a segment ends up. */
static inline gpa_t place_segment_gpa(const struct elf_segment *segment, int64_t offset)
{
	return segment->gpa + (uint64_t)offset;
}

#endif
