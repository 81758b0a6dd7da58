/* SPDX-License-Identifier: MIT */
/* unpack.h - decompress a kernel from one file into another
 *
 * Streaming, by the well-known libraries.  The input is hostile: output, memory and work are
 * bounded.  Inside image/ only.
 */
#ifndef IMAGE_UNPACK_H
#define IMAGE_UNPACK_H

#include "image/container.h"
#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>

struct unpack_job {
	int in_fd;
	uint64_t in_offset;
	uint64_t in_size;
	int out_fd;         /* empty, written from its start, with holes for zeros; also read */
	uint64_t max_size;  /* a kernel that needs more is refused: a limit */
	uint64_t max_total; /* more output than this is a sign of damage; 0: not told */
	uint64_t out_size;  /* result: its size in bytes */
	int out_err;        /* result: -errno if out_fd could not be written, else 0 */
};

/* By the first n bytes; n >= UNPACK_HEAD is enough.  IMAGE_NONE: an ELF, or nothing known. */
#define UNPACK_HEAD 16
enum image_compression unpack_identify(const uint8_t *head, size_t n);

/* 0; or -ENOTSUP and the reason: it is not unpacked here. */
int unpack_check(enum image_compression compression, struct diag *diag);

/* Unpack an ELF: one stream or several of the same kind, with or without the 4-byte size that Linux
 * appends to the payload (if there, it must agree).  Of what its program headers do not ask for no
 * more is kept than comes with the rest, and little is unpacked; section headers so far behind are
 * taken out of the file header.  What is not an ELF is refused at its first bytes.  0, or -errno
 * and the reason: -ENOEXEC damaged, truncated, not an ELF; -EFBIG over a limit; -E2BIG too many
 * streams; -ENOMEM; out_err; read's error.
 */
int unpack(enum image_compression compression, struct unpack_job *job, struct diag *diag);

#endif
