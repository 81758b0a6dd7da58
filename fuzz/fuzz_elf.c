// SPDX-License-Identifier: MIT
/* fuzz_elf.c - an ELF kernel: what the parser lets through keeps its promises */

#include "image/image.h"
#include "util/bits.h"

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_segments(const struct elf_image *elf, uint64_t size)
{
	BUG_ON(!elf->n_segments || elf->n_segments > ELF_MAX_SEGMENTS);
	BUG_ON(elf->start != elf->segment[0].gpa);
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		BUG_ON(!segment->mem_size || segment->file_size > segment->mem_size);
		BUG_ON(!range_within(segment->offset, segment->file_size, 0, size));
		BUG_ON(!range_within(
			segment->gpa, segment->mem_size, elf->start, elf->end - elf->start));
		BUG_ON(i && segment[-1].gpa + segment[-1].mem_size > segment->gpa);
	}
}

static void check_entry(const struct elf_image *elf)
{
	struct diag diag = { "" };
	bool inside = false;
	int ret = elf_require_pvh_entry(elf, &diag);

	for (size_t i = 0; i < elf->n_segments; i++)
		inside |= range_within(
			elf->pvh_entry, 1, elf->segment[i].gpa, elf->segment[i].file_size);
	BUG_ON(!ret && !(elf->has_pvh_entry && inside));
	BUG_ON(ret && !diag.text[0]);
	BUG_ON(elf->has_reloc &&
		(!is_power_of_2(elf->reloc.align) || elf->reloc.min > elf->reloc.max));
	BUG_ON(elf->n_notes > ELF_MAX_XEN_NOTES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct diag diag = { "" };
	struct elf_image elf;

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	if (image_read_elf(&elf, fd, size, &diag)) {
		BUG_ON(!diag.text[0]);
		return 0;
	}
	check_segments(&elf, size);
	check_entry(&elf);
	return 0;
}
