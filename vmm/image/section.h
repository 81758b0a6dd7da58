/* SPDX-License-Identifier: MIT */
/* section.h - what an ELF kernel's section headers say about its bytes
 *
 * Inside image/ only.
 */
#ifndef IMAGE_SECTION_H
#define IMAGE_SECTION_H

#include "image/elf.h"
#include "image/elf_file.h"

/* Fill in elf->code; the segments must be there.  Nothing that the headers say is an error. */
void section_find_code(struct elf_image *elf, struct elf_file *file);

#endif
