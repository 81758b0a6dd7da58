/* SPDX-License-Identifier: MIT */
/* unpack_io.h - what the decompressors read from and write to
 *
 * Inside image/ only.
 */
#ifndef IMAGE_UNPACK_IO_H
#define IMAGE_UNPACK_IO_H

#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The output is an ELF, and what of it is kept says its own headers, which are looked at as soon as
 * this much of it is there.  A kernel that has them further on is not unpacked.
 */
#define UNPACK_HEAD_SIZE (UINT64_C(2) << 20)

/* So much more is looked at for the end of the stream, with its checksum; then enough is enough. */
#define UNPACK_TAIL_SIZE (UINT64_C(16) << 20)

enum { UNPACK_ENOUGH = 1 };

struct unpack_io {
	/* Input: */
	int in_fd;
	uint64_t in_pos; /* in the file: what has not been read into `in` yet */
	uint64_t in_left;
	const uint8_t *next; /* in `in`, n_in bytes */
	size_t n_in;
	/* Output: */
	int out_fd;
	uint64_t max_total; /* unpacked in all */
	uint64_t max_kept;  /* of it in out_fd */
	uint64_t total;     /* unpacked so far */
	uint64_t kept;      /* of it in out_fd, with a hole at the end perhaps */
	uint64_t needed;    /* what the ELF's headers ask for; UINT64_MAX: not known yet */
	uint8_t start[8];   /* the first bytes unpacked */
	int out_err;        /* -errno if out_fd could not be written */
	int elf_err;        /* -errno if its headers are refused, and why: */
	struct diag elf_diag;
	uint8_t in[64 << 10];
	uint8_t out[2 << 20]; /* one write: where a file system can, it keeps that as a huge page */
};

void unpack_io_init(struct unpack_io *io, int in_fd, uint64_t offset, uint64_t size, int out_fd);

/* Copy up to n bytes of input: the count (less only at the end), or -errno. */
int64_t unpack_io_read(struct unpack_io *io, void *data, size_t n);

/* Take output.  0; UNPACK_ENOUGH: no more of it is wanted; -EFBIG over a limit; -ENOEXEC: it is no
 * ELF; elf_err; out_err.
 */
int unpack_io_write(struct unpack_io *io, const void *data, size_t n);

/* What is left of the input, or -errno; the first min(left, n) bytes are shown in io->next. */
int64_t unpack_io_peek(struct unpack_io *io, size_t n);

/* After the last output: give the file its size.  0, or out_err. */
int unpack_io_finish(struct unpack_io *io);

#endif
