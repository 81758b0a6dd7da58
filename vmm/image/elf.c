// SPDX-License-Identifier: MIT
/* elf.c - step 4: from a plain ELF to its segments */

#include "image/elf.h"

#include "image/elf_file.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <pvh/elfnote.h>

static int check_segment(
	const struct elf_file *file, unsigned int i, const Elf64_Phdr *phdr, struct diag *diag)
{
	uint64_t limit = file->is_64 ? UINT64_MAX : UINT32_MAX;

	if (phdr->p_filesz > phdr->p_memsz)
		return diag_fail(diag, ENOEXEC,
			"segment %u has %" PRIu64 " bytes in the file but only %" PRIu64
			" in memory: it is damaged",
			i, phdr->p_filesz, phdr->p_memsz);
	if (!range_within(phdr->p_offset, phdr->p_filesz, 0, file->window.size))
		return diag_fail(diag, ENOEXEC,
			"segment %u takes %" PRIu64 " bytes at offset %" PRIu64
			" of a file of %" PRIu64 ": it is truncated or damaged",
			i, phdr->p_filesz, phdr->p_offset, file->window.size);
	if (phdr->p_memsz - 1 > limit - phdr->p_paddr)
		return diag_fail(diag, ENOEXEC,
			"segment %u of %#" PRIx64 " bytes at physical address %#" PRIx64
			" wraps around the end of the address space",
			i, phdr->p_memsz, phdr->p_paddr);
	return 0;
}

/* Insertion keeps them sorted: segments mostly come in order, and there are few. */
static void insert_segment(struct elf_image *elf, const Elf64_Phdr *phdr)
{
	size_t i = elf->n_segments++;

	for (; i > 0 && elf->segment[i - 1].gpa > phdr->p_paddr; i--)
		elf->segment[i] = elf->segment[i - 1];
	elf->segment[i] = (struct elf_segment){
		.offset = phdr->p_offset,
		.file_size = phdr->p_filesz,
		.gpa = phdr->p_paddr,
		.mem_size = phdr->p_memsz,
		.align = phdr->p_align,
		.flags = phdr->p_flags & (PF_R | PF_W | PF_X),
	};
}

static int read_segments(struct elf_image *elf, struct elf_file *file, struct diag *diag)
{
	Elf64_Phdr phdr;
	int ret;

	for (unsigned int i = 0; i < file->header.e_phnum; i++) {
		if (!elf_file_phdr(file, i, &phdr))
			return diag_fail(diag, file->window.err ? -file->window.err : ENOEXEC,
				"program header %u cannot be read%s%s", i,
				file->window.err ? ": " : "",
				file->window.err ? error_text(-file->window.err) : "");
		if (phdr.p_type != PT_LOAD || (!phdr.p_memsz && !phdr.p_filesz))
			continue;
		if (elf->n_segments == ELF_MAX_SEGMENTS)
			return diag_fail(diag, ENOEXEC,
				"it has more than %d segments to load, which no kernel has",
				ELF_MAX_SEGMENTS);
		ret = check_segment(file, i, &phdr, diag);
		if (ret < 0)
			return ret;
		insert_segment(elf, &phdr);
		if (phdr.p_offset + phdr.p_filesz > elf->file_end)
			elf->file_end = phdr.p_offset + phdr.p_filesz;
	}
	if (!elf->n_segments)
		return diag_fail(diag, ENOEXEC, "it has no segment to load (PT_LOAD)");
	return 0;
}

static int check_overlap(struct elf_image *elf, struct diag *diag)
{
	const struct elf_segment *last = &elf->segment[elf->n_segments - 1];

	for (size_t i = 1; i < elf->n_segments; i++) {
		const struct elf_segment *a = &elf->segment[i - 1], *b = &elf->segment[i];

		if (b->gpa - a->gpa < a->mem_size)
			return diag_fail(diag, ENOEXEC,
				"two segments overlap: %#" PRIx64 " bytes at %#" PRIx64
				" and the one at %#" PRIx64,
				a->mem_size, a->gpa, b->gpa);
	}
	/* `end` is one past the last byte, and must itself be an address. */
	if (__builtin_add_overflow(last->gpa, last->mem_size, &elf->end))
		return diag_fail(diag, ENOEXEC, "a segment ends at the end of the address space");
	elf->start = elf->segment[0].gpa;
	return 0;
}

int elf_read_headers(struct elf_image *elf, struct elf_file *file, struct diag *diag)
{
	int ret;

	elf->is_64 = file->is_64;
	elf->elf_entry = file->header.e_entry;
	/* elf_file_init() has seen that they lie in the file. */
	elf->file_end = file->header.e_phoff +
	                (uint64_t)file->header.e_phnum * file->header.e_phentsize;
	ret = read_segments(elf, file, diag);
	return ret < 0 ? ret : check_overlap(elf, diag);
}

bool elf_has_code(const struct elf_image *elf, uint64_t offset, uint64_t size)
{
	for (size_t i = 0; i < elf->n_code; i++)
		if (elf->code[i].offset < offset + size &&
			offset < elf->code[i].offset + elf->code[i].size)
			return true;
	return false;
}

static bool any_entry_note(const struct elf_image *elf)
{
	for (size_t i = 0; i < elf->n_notes; i++)
		if (elf->note[i].type == PVH_ELFNOTE_PHYS32_ENTRY)
			return true;
	return false;
}

bool elf_lacks_pvh_entry(const struct elf_image *elf)
{
	return !elf->has_pvh_entry && !any_entry_note(elf) && !elf->note_fault;
}

int elf_require_pvh_entry(const struct elf_image *elf, struct diag *diag)
{
	if (!elf->has_pvh_entry && any_entry_note(elf))
		return diag_fail(diag, ENOEXEC,
			"the note that names its PVH entry is damaged: it must hold a 32-bit address in 4 or 8 bytes");
	if (!elf->has_pvh_entry && elf->note_fault)
		return diag_fail(diag, ENOEXEC, "no PVH entry can be found, for %s: it is damaged",
			elf->note_fault);
	if (!elf->has_pvh_entry)
		return diag_fail(
			diag, ENOEXEC, "this kernel has no PVH entry (no ELF note PHYS32_ENTRY)");
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		if (range_within(elf->pvh_entry, 1, segment->gpa, segment->file_size))
			return 0;
	}
	return diag_fail(diag, ENOEXEC,
		"its PVH entry %#" PRIx32 " lies outside of what its segments load: it is damaged",
		elf->pvh_entry);
}
