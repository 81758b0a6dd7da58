// SPDX-License-Identifier: MIT
/* section.c - what an ELF kernel's section headers say about its bytes */

#include "image/section.h"

#include "util/bits.h"

/* More than a linked kernel has; it bounds the work on a hostile file. */
#define MAX_SECTIONS 1024

/* What does not fit the table is added to its last extent, with all that lies between. */
static void add_code(struct elf_image *elf, uint64_t offset, uint64_t size)
{
	struct elf_extent *last = &elf->code[ELF_MAX_CODE - 1];
	uint64_t end = offset + size;

	if (elf->n_code < ELF_MAX_CODE) {
		elf->code[elf->n_code++] = (struct elf_extent){ offset, size };
		return;
	}
	if (end < last->offset + last->size)
		end = last->offset + last->size;
	if (last->offset > offset)
		last->offset = offset;
	last->size = end - last->offset;
}

/* False: the headers are not to be relied on. */
static bool find_in_sections(struct elf_image *elf, struct elf_file *file)
{
	const Elf64_Ehdr *header = &file->header;
	size_t entry_size = file->is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	Elf64_Shdr shdr;

	if (!header->e_shoff || header->e_shentsize != entry_size || header->e_shnum > MAX_SECTIONS)
		return false;
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		if (!elf_file_shdr(file, i, &shdr))
			return false;
		if (!(shdr.sh_flags & SHF_EXECINSTR) || shdr.sh_type == SHT_NOBITS)
			continue;
		if (!range_within(shdr.sh_offset, shdr.sh_size, 0, file->window.size))
			return false;
		add_code(elf, shdr.sh_offset, shdr.sh_size);
	}
	return elf->n_code;
}

void section_find_code(struct elf_image *elf, struct elf_file *file)
{
	if (find_in_sections(elf, file))
		return;
	elf->n_code = 0;
	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segment[i].flags & PF_X)
			add_code(elf, elf->segment[i].offset, elf->segment[i].file_size);
}
