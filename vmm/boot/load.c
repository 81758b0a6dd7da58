// SPDX-License-Identifier: MIT
/* load.c - bring a segment's bytes from the kernel file into guest RAM */

#include "boot/load.h"

#include <elf.h>

#define PAGE 4096u

/* What the host can map at once.  Unless all is to be mapped, such a block of RAM is the file's or
 * the guest's own: a mixed one would come in by pages of 4 KiB, each by a fault.
 */
#define BLOCK MIB(2)

/* The guest only reads it, as far as can be told.  Code is not such: Linux rewrites nearly each
 * page of its own while it boots, and a page that is written costs less when it is read beforehand,
 * with 511 others, than mapped and copied at the first write.
 */
static bool is_constant(
	const struct image *image, const struct elf_segment *segment, uint64_t at, uint64_t size)
{
	return !(segment->flags & PF_W) && range_within(at, size, 0, segment->file_size) &&
	       !elf_has_code(&image->elf, segment->offset + at, size);
}

static bool is_mapped(const struct image *image, const struct elf_segment *segment,
	enum load_map map, uint64_t at, uint64_t size)
{
	switch (map) {
	case LOAD_MAP_CONSTANTS: return is_constant(image, segment, at, size);
	case LOAD_MAP_ALL: return range_within(at, size, 0, segment->file_size);
	case LOAD_MAP_NONE: return false;
	}
	return false;
}

struct load_piece load_next(const struct image *image, const struct elf_segment *segment,
	enum load_map map, gpa_t gpa, uint64_t done)
{
	uint64_t unit = map == LOAD_MAP_ALL ? PAGE : BLOCK;
	uint64_t left = segment->file_size - done;
	uint64_t at = ALIGN_UP(gpa + done, unit) - gpa;
	bool mapped = at == done && is_mapped(image, segment, map, at, unit);

	/* A file of somebody else's may be rewritten in place, and a mapping would show it to the
	 * running guest.
	 */
	if (!image->owned_file || (segment->offset - gpa) % PAGE)
		return (struct load_piece){ left, false };
	while (at < segment->file_size && is_mapped(image, segment, map, at, unit) == mapped)
		at += unit;
	return (struct load_piece){ at - done < left ? at - done : left, mapped };
}

int load_segment(struct guest_mem *mem, const struct image *image,
	const struct elf_segment *segment, enum load_map map, gpa_t gpa)
{
	struct load_piece piece;
	int ret = 0;

	for (uint64_t done = 0; done < segment->file_size && !ret; done += piece.size) {
		uint64_t offset = segment->offset + done;

		piece = load_next(image, segment, map, gpa, done);
		if (piece.mapped)
			ret = guest_mem_map_file(mem, gpa + done, image->fd, offset, piece.size);
		else
			ret = guest_mem_read_file(mem, gpa + done, image->fd, offset, piece.size);
	}
	return ret;
}
