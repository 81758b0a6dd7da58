// SPDX-License-Identifier: MIT
/* identify.c - step 2: from an open file to what it is */

#include "image/identify.h"

#include "image/bzimage.h"
#include "image/foreign.h"
#include "image/unpack.h"
#include "util/error.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

/* Enough to recognise any container. */
#define HEAD_SIZE 1024

static int identify_bzimage(
	struct image_kind *kind, const struct image_source *source, struct diag *diag)
{
	struct bzimage bz;
	uint8_t head[UNPACK_HEAD] = { 0 };
	int64_t n;
	int ret = bzimage_parse(&bz, source->fd, source->size, diag);

	memcpy(kind->version, bz.version, sizeof(kind->version));
	kind->has_entry_64 = bz.has_entry_64;
	kind->room_start = bz.pref_address;
	if (__builtin_add_overflow(bz.pref_address, bz.init_size, &kind->room_end))
		kind->has_entry_64 = false;
	if (ret < 0)
		return ret;
	n = file_read_some(source->fd, head, sizeof(head), bz.payload_offset);
	if (n < 0)
		return diag_fail(diag, (int)-n, "cannot be read: %s", error_text((int)-n));
	kind->compression = unpack_identify(head, (size_t)n);
	if (kind->compression == IMAGE_NONE)
		return diag_fail(diag, ENOEXEC,
			"it is a bzImage, but where its header puts the kernel is nothing compressed: it is damaged");
	kind->offset = bz.payload_offset;
	kind->size = bz.payload_size;
	kind->init_size = bz.init_size;
	return 0;
}

int identify(struct image_kind *kind, const struct image_source *source, struct diag *diag)
{
	uint8_t head[HEAD_SIZE];
	int64_t n = file_read_some(source->fd, head, sizeof(head), 0);

	*kind = (struct image_kind){ .size = source->size };
	if (n < 0)
		return diag_fail(diag, (int)-n, "cannot be read: %s", error_text((int)-n));
	if (n >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG)) {
		kind->container = IMAGE_ELF;
		return 0;
	}
	if (bzimage_detect(head, (size_t)n)) {
		kind->container = IMAGE_BZIMAGE;
		return identify_bzimage(kind, source, diag);
	}
	kind->compression = unpack_identify(head, (size_t)n);
	if (kind->compression == IMAGE_NONE)
		return foreign_refuse(head, (size_t)n, diag);
	kind->container = IMAGE_COMPRESSED;
	return 0;
}
