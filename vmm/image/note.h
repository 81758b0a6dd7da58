/* SPDX-License-Identifier: MIT */
/* note.h - step 5: find Xen's notes in an ELF file
 *
 * Inside image/ only.  Sources: gABI; Xen public/elfnote.h.
 */
#ifndef IMAGE_NOTE_H
#define IMAGE_NOTE_H

#include "image/elf.h"
#include "image/elf_file.h"

/* Fill in elf's notes, PVH entry, relocation and note_fault; its segments are there already.
 * PT_NOTE segments are walked; only if none holds a note of Xen's, SHT_NOTE sections are; and only
 * if these do not either, an entry note of any other owner is taken.  The first well-formed note of
 * a kind wins.  Damage is no failure here: another note may be sound.
 */
void note_find_all(struct elf_image *elf, struct elf_file *file);

#endif
