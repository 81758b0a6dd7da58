/* SPDX-License-Identifier: MIT */
/* identify.h - step 2: from an open file to what it is
 *
 * The function is for image/ alone.
 */
#ifndef IMAGE_IDENTIFY_H
#define IMAGE_IDENTIFY_H

#include "image/container.h"
#include "image/source.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct image_kind {
	enum image_container container;
	enum image_compression compression;
	uint64_t offset, size; /* where in the file the ELF lies, compressed or not */
	/* Of a bzImage, as its header tells: */
	uint64_t init_size;            /* the kernel unpacks itself within so much; 0: not told */
	char version[128];             /* Linux's version string, or "" */
	bool has_entry_64;             /* it can be entered in long mode */
	uint64_t room_start, room_end; /* the RAM it takes if it is entered so */
};

/* 0, or -errno and the reason; `kind` then tells what was seen until then. */
int identify(struct image_kind *kind, const struct image_source *source, struct diag *diag);

#endif
