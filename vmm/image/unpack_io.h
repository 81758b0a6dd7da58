/* SPDX-License-Identifier: MIT */
/* unpack_io.h - between unpack.c and the decompressors
 *
 * Inside image/ only.
 */
#ifndef IMAGE_UNPACK_IO_H
#define IMAGE_UNPACK_IO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Memory that a decompressor may ask for: Linux's own kernels use dictionaries up to 128 MiB. */
#define UNPACK_MAX_MEMORY (UINT64_C(256) << 20)
#define UNPACK_WINDOW_LOG 27

struct unpack_job;

struct unpack_io {
	struct unpack_job *job;
	uint64_t in_pos; /* in the file: what has not been read into `in` yet */
	uint64_t in_left;
	const uint8_t *next; /* in `in`, n_in bytes */
	size_t n_in;
	uint8_t in[64 << 10];
	uint8_t out[2 << 20]; /* one write: where a file system can, it keeps that as a huge page */
};

/* Copy up to n bytes of input: the count (less only at the end), or -errno. */
int64_t unpack_io_read(struct unpack_io *io, void *data, size_t n);

/* Write output, within the job's limits.  0; -EFBIG; -ENOEXEC: it is not an ELF; -errno. */
int unpack_io_write(struct unpack_io *io, const void *data, size_t n);

/* What is left of the input, or -errno; the first min(left, n) bytes are shown in io->next. */
int64_t unpack_io_peek(struct unpack_io *io, size_t n);

/* A stream's step takes from here and puts there. */
struct unpack_buf {
	const uint8_t *in;
	size_t n_in;
	uint8_t *out;
	size_t n_out;
	bool in_ends; /* no input follows */
};

enum unpack_step { UNPACK_MORE = 0, UNPACK_END = 1 };

/* One stream, in the shape that the libraries share. */
struct unpack_codec {
	/* NULL: no memory. */
	void *(*create)(void);
	/* Move `buf` on.  An unpack_step, or -EBADMSG damaged, -ENOMEM more memory than allowed. */
	int (*step)(void *state, struct unpack_buf *buf);
	void (*destroy)(void *state);
};

extern const struct unpack_codec unpack_gzip, unpack_xz, unpack_lzma, unpack_zstd, unpack_lz4_frame,
	unpack_bzip2;

/* The format of `lz4 -l`, which the kernel's build uses: blocks of 8 MiB, and no end mark, so it
 * runs to the end of the input or to the appended size.  0, or -errno as a step's.
 */
int unpack_lz4_legacy(struct unpack_io *io);

#endif
