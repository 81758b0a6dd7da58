/* SPDX-License-Identifier: MIT */
/* codec.h - the decompression libraries, brought to one shape
 *
 * Inside image/ only.
 */
#ifndef IMAGE_CODEC_H
#define IMAGE_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that a decompressor may ask for: Linux's own kernels use dictionaries up to 128 MiB. */
#define CODEC_MAX_MEMORY (UINT64_C(256) << 20)
#define CODEC_WINDOW_LOG 27

/* A step takes from here and puts there. */
struct codec_buf {
	const uint8_t *in;
	size_t n_in;
	uint8_t *out;
	size_t n_out;
	bool in_ends; /* no input follows */
};

enum codec_step { CODEC_MORE = 0, CODEC_END = 1 };

/* One stream. */
struct codec {
	/* NULL: no memory. */
	void *(*create)(void);
	/* Move `buf` on.  A codec_step, or -EBADMSG damaged, -ENOMEM more memory than allowed. */
	int (*step)(void *state, struct codec_buf *buf);
	void (*destroy)(void *state);
};

extern const struct codec codec_gzip, codec_xz, codec_lzma, codec_zstd, codec_lz4_frame,
	codec_bzip2;

#endif
