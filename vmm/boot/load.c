// SPDX-License-Identifier: MIT
/* load.c - bring a segment's bytes from the kernel file into guest RAM */

#include "boot/load.h"

#include <elf.h>

#define PAGE 4096u

/* Below this, one system call to read is cheaper than a mapping and its faults. */
#define MAP_MIN KIB(64)

struct load_plan load_plan_segment(
	const struct image *image, const struct elf_segment *segment, gpa_t gpa)
{
	struct load_plan plan = { .head = ALIGN_UP(gpa, PAGE) - gpa };

	/* A file of somebody else's may be rewritten in place, and a mapping would show it to the
	 * running guest.  And what the guest writes is better read, into huge pages, than mapped
	 * and copied page by page at the first write.
	 */
	if (!image->owned_file || (segment->flags & PF_W) || segment->file_size < MAP_MIN ||
		(segment->offset - gpa) % PAGE)
		return (struct load_plan){ 0 };
	/* Only pages full of the segment's own bytes: a mapped partial page would bring in what
	 * follows in the file, where zeros or another segment belong.
	 */
	plan.mapped = ALIGN_DOWN(segment->file_size - plan.head, PAGE);
	return plan;
}

int load_segment(const struct guest_mem *mem, const struct image *image,
	const struct elf_segment *segment, gpa_t gpa)
{
	struct load_plan plan = load_plan_segment(image, segment, gpa);
	uint64_t done = plan.head + plan.mapped;
	int ret;

	ret = guest_mem_read_file(mem, gpa, image->fd, segment->offset, plan.head);
	if (ret < 0)
		return ret;
	if (plan.mapped) {
		ret = guest_mem_map_file(
			mem, gpa + plan.head, image->fd, segment->offset + plan.head, plan.mapped);
		if (ret < 0)
			return ret;
	}
	return guest_mem_read_file(
		mem, gpa + done, image->fd, segment->offset + done, segment->file_size - done);
}
