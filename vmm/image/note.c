// SPDX-License-Identifier: MIT
/* note.c - find Xen's notes in an ELF file */

#include "image/note.h"

#include "util/bits.h"

#include <pvh/elfnote.h>
#include <string.h>

/* Notes read in one file, all walks together: far more than kernels have, few enough to be quick.
 */
#define MAX_STEPS 8192

_Static_assert(sizeof(Elf32_Nhdr) == sizeof(Elf64_Nhdr), "one note header for both classes");

struct walk {
	struct elf_image *elf;
	struct elf_file *file;
	unsigned int n_steps;
	bool any_owner; /* of an entry note */
	bool found;     /* a note that counts, anywhere so far */
};

struct extent {
	uint64_t offset, size;
};

static uint32_t desc_u32(const struct elf_xen_note *note, size_t i)
{
	uint32_t value;

	memcpy(&value, note->desc + i * sizeof(value), sizeof(value));
	return value;
}

/* 4 bytes as Xen and FreeBSD write them, or 8 as 64-bit Linux does. */
static void take_entry(struct elf_image *elf, const struct elf_xen_note *note)
{
	if (elf->has_pvh_entry || (note->desc_size != 4 && note->desc_size != 8))
		return;
	/* The descriptor is zero where it ends.  No 32-bit entry lies above 4 GiB. */
	if (desc_u32(note, 1))
		return;
	elf->pvh_entry = desc_u32(note, 0);
	elf->has_pvh_entry = true;
}

static uint64_t default_align(const struct elf_image *elf)
{
	uint64_t align = 0;

	for (size_t i = 0; i < elf->n_segments; i++)
		if (elf->segment[i].align > align && is_power_of_2(elf->segment[i].align))
			align = elf->segment[i].align;
	return align >= 0x1000 ? align : PVH_RELOC_DEFAULT_ALIGN;
}

/* A note that contradicts itself leaves the image where it was linked to be. */
static void take_reloc(struct elf_image *elf, const struct elf_xen_note *note)
{
	struct elf_reloc reloc = { .align = default_align(elf), .min = 0, .max = UINT32_MAX };

	if (elf->has_reloc)
		return;
	if (note->desc_size >= 4)
		reloc.align = desc_u32(note, 0);
	if (note->desc_size >= 8)
		reloc.min = desc_u32(note, 1);
	if (note->desc_size >= 12)
		reloc.max = desc_u32(note, 2);
	if (!is_power_of_2(reloc.align) || reloc.min > reloc.max)
		return;
	elf->reloc = reloc;
	elf->has_reloc = true;
}

static void take_note(struct walk *walk, uint64_t desc_offset, const Elf64_Nhdr *header)
{
	struct elf_image *elf = walk->elf;
	struct elf_xen_note note = { .type = header->n_type, .desc_size = header->n_descsz };
	size_t n = header->n_descsz < sizeof(note.desc) ? header->n_descsz : sizeof(note.desc);
	const void *desc = file_window_at(&walk->file->window, desc_offset, n);

	if (!desc)
		return;
	memcpy(note.desc, desc, n);
	if (note.type == PVH_ELFNOTE_PHYS32_ENTRY)
		take_entry(elf, &note);
	else if (note.type == PVH_ELFNOTE_PHYS32_RELOC)
		take_reloc(elf, &note);
	if (!walk->any_owner && elf->n_notes < ELF_MAX_XEN_NOTES)
		elf->note[elf->n_notes++] = note;
}

static bool is_xen(struct walk *walk, uint64_t name_offset, const Elf64_Nhdr *header)
{
	const char *name;

	if (header->n_namesz != sizeof(PVH_ELFNOTE_OWNER))
		return false;
	name = file_window_at(&walk->file->window, name_offset, sizeof(PVH_ELFNOTE_OWNER));
	return name && !memcmp(name, PVH_ELFNOTE_OWNER, sizeof(PVH_ELFNOTE_OWNER));
}

static bool counts(struct walk *walk, uint64_t name_offset, const Elf64_Nhdr *header)
{
	return walk->any_owner ? header->n_type == PVH_ELFNOTE_PHYS32_ENTRY
	                       : is_xen(walk, name_offset, header);
}

/* For people, so nothing but text. */
static void take_owner(struct walk *walk, uint64_t name_offset, const Elf64_Nhdr *header)
{
	char *owner = walk->elf->entry_owner;
	size_t room = sizeof(walk->elf->entry_owner) - 1;
	size_t n = header->n_namesz < room ? header->n_namesz : room;
	const void *name = file_window_at(&walk->file->window, name_offset, n);

	memset(owner, 0, room);
	memcpy(owner, name && n ? name : "(none)", name && n ? n : sizeof("(none)"));
	for (; *owner; owner++)
		if (*owner < 0x20 || *owner > 0x7e)
			*owner = '?';
}

/* Walk the notes of an extent that lies in the file, each padded to `align` from the extent's
 * start, and take those that count if told so.  Count them in *n_taken.  NULL, or what is wrong.
 */
static const char *walk_extent(
	struct walk *walk, struct extent extent, uint64_t align, bool take, unsigned int *n_taken)
{
	uint64_t pos = 0;
	Elf64_Nhdr header;

	*n_taken = 0;
	/* What is shorter than a header is padding. */
	while (extent.size - pos >= sizeof(header)) {
		const void *raw = file_window_at(
			&walk->file->window, extent.offset + pos, sizeof(header));
		uint64_t name = pos + sizeof(header), desc, end;

		if (!raw)
			return "its notes cannot be read";
		if (++walk->n_steps > MAX_STEPS)
			return "it has more notes than any kernel";
		memcpy(&header, raw, sizeof(header));
		/* 32-bit sizes on a position within a file: nothing wraps. */
		desc = ALIGN_UP(name + header.n_namesz, align);
		end = desc + header.n_descsz;
		if (end > extent.size)
			return "a note does not fit the segment or section that holds it";
		if (counts(walk, extent.offset + name, &header)) {
			++*n_taken;
			if (take && walk->any_owner && !walk->elf->has_pvh_entry)
				take_owner(walk, extent.offset + name, &header);
			if (take)
				take_note(walk, extent.offset + desc, &header);
		}
		pos = ALIGN_UP(end, align);
		if (pos > extent.size)
			break;
	}
	return NULL;
}

/* How far a walk is to be believed: that it found what counts says more than that it came out
 * right.
 */
static unsigned int rank_walk(unsigned int n_taken, const char *fault)
{
	return (n_taken ? 2u : 0) + !fault;
}

/* The ABI pads to 4 bytes whatever p_align says, and so do Xen and Linux; some linkers merge in
 * notes padded to 8.  Nothing says which it was but the walks.
 */
static void scan_extent(struct walk *walk, struct extent extent)
{
	unsigned int n_taken, n_by_8;
	const char *fault, *fault_by_8;
	uint64_t align = 4;

	if (!range_within(extent.offset, extent.size, 0, walk->file->window.size)) {
		walk->elf->note_fault = "a note segment or section lies outside the file";
		return;
	}
	fault = walk_extent(walk, extent, 4, false, &n_taken);
	if (fault || !n_taken) {
		fault_by_8 = walk_extent(walk, extent, 8, false, &n_by_8);
		if (rank_walk(n_by_8, fault_by_8) > rank_walk(n_taken, fault)) {
			align = 8;
			n_taken = n_by_8;
			fault = fault_by_8;
		}
	}
	if (fault)
		walk->elf->note_fault = fault;
	if (n_taken) {
		walk->found = true;
		walk_extent(walk, extent, align, true, &n_taken);
	}
}

static void scan_segments(struct walk *walk)
{
	Elf64_Phdr phdr;

	for (unsigned int i = 0; i < walk->file->header.e_phnum; i++) {
		if (!elf_file_phdr(walk->file, i, &phdr) || phdr.p_type != PT_NOTE)
			continue;
		/* Some linkers leave the offset out, as Xen's own reader knows. */
		if (phdr.p_offset)
			scan_extent(walk, (struct extent){ phdr.p_offset, phdr.p_filesz });
	}
}

static void scan_sections(struct walk *walk)
{
	const Elf64_Ehdr *header = &walk->file->header;
	size_t entry_size = walk->file->is_64 ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	Elf64_Shdr shdr;

	if (!header->e_shoff || header->e_shentsize != entry_size)
		return;
	for (unsigned int i = 0; i < header->e_shnum; i++) {
		if (!elf_file_shdr(walk->file, i, &shdr)) {
			walk->elf->note_fault = "its section headers lie outside the file";
			return;
		}
		if (shdr.sh_type == SHT_NOTE)
			scan_extent(walk, (struct extent){ shdr.sh_offset, shdr.sh_size });
	}
}

void note_find_all(struct elf_image *elf, struct elf_file *file)
{
	struct walk walk = { .elf = elf, .file = file };

	scan_segments(&walk);
	if (!walk.found)
		scan_sections(&walk);
	if (walk.found)
		return;
	/* QEMU looks at the type alone, so there are kernels that know no better (NuttX). */
	walk.any_owner = true;
	scan_segments(&walk);
}
