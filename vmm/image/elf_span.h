/* SPDX-License-Identifier: MIT */
/* elf_span.h - how much of an ELF file is for loading, told by its beginning
 *
 * Inside image/ only.
 */
#ifndef IMAGE_ELF_SPAN_H
#define IMAGE_ELF_SPAN_H

#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct elf_span {
	uint64_t end;         /* segments, notes and headers end before it */
	bool leaves_sections; /* the section headers do not */
};

/* Of a file of which fd has the first `size` bytes.  Notes and section headers that end more than
 * `slack` bytes behind the segments are left out.  0, or -ENOEXEC (or read's error) and the reason.
 */
int elf_span_find(struct elf_span *span, int fd, uint64_t size, uint64_t slack, struct diag *diag);

/* Have the file header say that there are no sections.  0, or write's error. */
int elf_span_drop_sections(int fd);

#endif
