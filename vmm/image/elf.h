/* SPDX-License-Identifier: MIT */
/* elf.h - what an ELF kernel says of itself; step 4: from a plain ELF to its segments
 *
 * ELF32 and ELF64, little endian, x86, ET_EXEC or ET_DYN.  Sources: System V gABI; Xen
 * public/elfnote.h.
 */
#ifndef IMAGE_ELF_H
#define IMAGE_ELF_H

#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ELF_MAX_SEGMENTS  64
#define ELF_MAX_XEN_NOTES 32
#define ELF_MAX_CODE      16

struct elf_segment {
	uint64_t offset;    /* in the file */
	uint64_t file_size; /* <= mem_size; the rest is zero */
	uint64_t gpa;       /* p_paddr, used unmodified */
	uint64_t mem_size;  /* > 0 */
	uint64_t align;     /* p_align as it stands; may be nonsense */
	uint32_t flags;     /* PF_R | PF_W | PF_X */
};

struct elf_extent {
	uint64_t offset, size; /* in the file */
};

struct elf_xen_note {
	uint32_t type;
	uint32_t desc_size;
	uint8_t desc[64]; /* the first bytes of the descriptor, the rest zero */
};

struct elf_reloc {      /* PHYS32_RELOC, defaults filled in */
	uint64_t align; /* a power of two */
	uint64_t min;   /* least address of the image's start */
	uint64_t max;   /* greatest address of its last byte */
};

struct elf_image {
	bool is_64;
	bool has_pvh_entry;
	bool has_reloc;
	uint32_t
		pvh_entry; /* where the image was linked to be; elf_require_pvh_entry() checks it */
	char entry_owner[16]; /* of the note that names the entry, if that is not Xen; else "" */
	uint64_t elf_entry;   /* e_entry */
	struct elf_reloc reloc;
	uint64_t start, end; /* all segments lie in [start, end) */
	uint64_t file_end;   /* of program headers and segments: what follows is not for loading */
	size_t n_segments;   /* > 0 */
	struct elf_segment segment[ELF_MAX_SEGMENTS]; /* by gpa, disjoint, none wraps */
	/* All instructions are in these: the sections' word, or else the segments'.  A hint, as the
	 * file may lie: a guest can execute, or write, what else there is.
	 */
	size_t n_code;
	struct elf_extent code[ELF_MAX_CODE];
	size_t n_notes;
	struct elf_xen_note note[ELF_MAX_XEN_NOTES]; /* the first ones, in file order */
	const char *note_fault; /* what is wrong with a damaged note segment, or NULL; static */
};

struct elf_file;

/* Fill in what the file header and the program headers say; `elf` is all zero.  0, or -ENOEXEC (or
 * read's error) and diag.
 */
int elf_read_headers(struct elf_image *elf, struct elf_file *file, struct diag *diag);

/* Whether any of these bytes of the file, which are in a segment, are instructions. */
bool elf_has_code(const struct elf_image *elf, uint64_t offset, uint64_t size);

/* It has no PVH entry and was not meant to have one: no note of it is damaged. */
bool elf_lacks_pvh_entry(const struct elf_image *elf);

/* The kernel can be entered: it has a PVH entry, and this lies among bytes that the file loads.
 * 0, or -ENOEXEC and in diag why not and what to do.
 */
int elf_require_pvh_entry(const struct elf_image *elf, struct diag *diag);

#endif
