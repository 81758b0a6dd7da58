/* SPDX-License-Identifier: MIT */
/* bzimage.h - where the compressed kernel lies in a bzImage
 *
 * Source: Linux Documentation/arch/x86/boot.rst.
 */
#ifndef IMAGE_BZIMAGE_H
#define IMAGE_BZIMAGE_H

#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bzimage {
	uint64_t payload_offset; /* in the file */
	uint64_t payload_size;   /* > 0; the payload lies in the file */
	uint64_t init_size;      /* memory the kernel needs to unpack itself; 0: not told */
	uint64_t pref_address;   /* where it likes to do so best; with has_entry_64 only */
	bool has_entry_64;       /* it can be entered in long mode */
	char version[128];       /* the kernel's version string, or "" */
};

/* The first n bytes of a file are those of a bzImage. */
bool bzimage_detect(const uint8_t *head, size_t n);

/* Read the setup header of a file that bzimage_detect() knows.  0, or -ENOEXEC (or read's error)
 * and the reason.
 */
int bzimage_parse(struct bzimage *bz, int fd, uint64_t size, struct diag *diag);

#endif
