/* SPDX-License-Identifier: MIT */
/* container.h - what a kernel can be wrapped in */
#ifndef IMAGE_CONTAINER_H
#define IMAGE_CONTAINER_H

enum image_container { IMAGE_UNKNOWN, IMAGE_ELF, IMAGE_BZIMAGE, IMAGE_COMPRESSED };

enum image_compression {
	IMAGE_NONE,
	IMAGE_GZIP,
	IMAGE_XZ,
	IMAGE_LZMA,
	IMAGE_ZSTD,
	IMAGE_LZ4,
	IMAGE_BZIP2,
	IMAGE_LZO, /* recognised so that the message can say so; not unpacked */
};

/* For people, and in JSON. */
const char *image_container_name(enum image_container container);
const char *image_compression_name(enum image_compression compression);

#endif
