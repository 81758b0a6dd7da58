/* SPDX-License-Identifier: MIT */
/* lz4_legacy.h - the format of `lz4 -l`, which the kernel's build uses
 *
 * Inside image/ only.
 */
#ifndef IMAGE_LZ4_LEGACY_H
#define IMAGE_LZ4_LEGACY_H

#include "image/unpack_io.h"

/* It has no end mark, so it runs to the end of the input or to the appended size.  At most
 * max_streams of them, one after the other.  0, or as unpack_io_write(), or -errno as a codec's
 * step; -E2BIG: more streams.
 */
int lz4_legacy_unpack(struct unpack_io *io, unsigned int max_streams);

#endif
