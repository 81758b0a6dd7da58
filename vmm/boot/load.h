/* SPDX-License-Identifier: MIT */
/* load.h - bring a segment's bytes from the kernel file into guest RAM */
#ifndef BOOT_LOAD_H
#define BOOT_LOAD_H

#include "image/image.h"
#include "mem/guest_mem.h"

/* How the file_size bytes of a segment get in: `head` bytes are read, then `mapped` bytes (whole
 * pages) mapped, the rest read.
 */
struct load_plan {
	uint64_t head;
	uint64_t mapped;
};

struct load_plan load_plan_segment(
	const struct image *image, const struct elf_segment *segment, gpa_t gpa);

/* Do it.  What follows the file's bytes up to mem_size is left as it is: zero, in fresh RAM.
 * Errors as those of guest_mem_read_file().
 */
int load_segment(const struct guest_mem *mem, const struct image *image,
	const struct elf_segment *segment, gpa_t gpa);

#endif
