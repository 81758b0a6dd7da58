// SPDX-License-Identifier: MIT
/* container.c - what a kernel can be wrapped in */

#include "image/container.h"

const char *image_container_name(enum image_container container)
{
	switch (container) {
	case IMAGE_UNKNOWN: return "unknown";
	case IMAGE_ELF: return "ELF";
	case IMAGE_BZIMAGE: return "bzImage";
	case IMAGE_COMPRESSED: return "compressed ELF";
	}
	return "?";
}

const char *image_compression_name(enum image_compression compression)
{
	switch (compression) {
	case IMAGE_NONE: return "uncompressed";
	case IMAGE_GZIP: return "gzip";
	case IMAGE_XZ: return "xz";
	case IMAGE_LZMA: return "lzma";
	case IMAGE_ZSTD: return "zstd";
	case IMAGE_LZ4: return "lz4";
	case IMAGE_BZIP2: return "bzip2";
	case IMAGE_LZO: return "lzo";
	}
	return "?";
}
