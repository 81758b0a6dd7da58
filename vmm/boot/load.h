/* SPDX-License-Identifier: MIT */
/* load.h - bring a segment's bytes from the kernel file into guest RAM */
#ifndef BOOT_LOAD_H
#define BOOT_LOAD_H

#include "image/image.h"
#include "mem/guest_mem.h"

/* What of a kernel's file is mapped where that is safe; all else is read. */
enum load_map {
	LOAD_MAP_CONSTANTS, /* blocks of 2 MiB of what will not be written, as far as can be told */
	LOAD_MAP_ALL,       /* every whole page */
	LOAD_MAP_NONE,
};

/* So many bytes are read, or mapped (whole pages). */
struct load_piece {
	uint64_t size; /* > 0 */
	bool mapped;
};

/* How a segment that goes to `gpa` is to get in from its byte `done` < file_size on. */
struct load_piece load_next(const struct image *image, const struct elf_segment *segment,
	enum load_map map, gpa_t gpa, uint64_t done);

/* Do it all.  What follows the file's bytes up to mem_size is left as it is: zero, in fresh RAM.
 * Errors as those of guest_mem_read_file().
 */
int load_segment(struct guest_mem *mem, const struct image *image,
	const struct elf_segment *segment, enum load_map map, gpa_t gpa);

#endif
