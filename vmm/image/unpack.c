// SPDX-License-Identifier: MIT
/* unpack.c - decompress a kernel from one file into another */

#include "image/unpack.h"

#include "image/codec.h"
#include "image/foreign.h"
#include "image/lz4_legacy.h"
#include "image/unpack_io.h"
#include "util/bits.h"
#include "util/error.h"

#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Far more than compressors on many CPUs make of a kernel; it bounds the work for streams of
 * nothing.
 */
#define MAX_STREAMS 4096

struct format {
	enum image_compression compression;
	uint8_t n_magic;
	uint8_t magic[9];
	const struct codec *codec; /* NULL: legacy LZ4, or LZO */
};

static const struct format formats[] = {
	{ IMAGE_GZIP, 2, { 0x1f, 0x8b }, &codec_gzip },
	{ IMAGE_XZ, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 }, &codec_xz },
	{ IMAGE_LZMA, 3, { 0x5d, 0, 0 }, &codec_lzma },
	{ IMAGE_ZSTD, 4, { 0x28, 0xb5, 0x2f, 0xfd }, &codec_zstd },
	{ IMAGE_LZ4, 4, { 0x02, 0x21, 0x4c, 0x18 }, NULL },
	{ IMAGE_LZ4, 4, { 0x04, 0x22, 0x4d, 0x18 }, &codec_lz4_frame },
	{ IMAGE_BZIP2, 3, { 'B', 'Z', 'h' }, &codec_bzip2 },
	{ IMAGE_LZO, 9, { 0x89, 'L', 'Z', 'O', 0, '\r', '\n', 0x1a, '\n' }, NULL },
};

static const struct format *find_format(const uint8_t *head, size_t n)
{
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (n >= formats[i].n_magic && !memcmp(head, formats[i].magic, formats[i].n_magic))
			return &formats[i];
	return NULL;
}

enum image_compression unpack_identify(const uint8_t *head, size_t n)
{
	const struct format *format = find_format(head, n);

	return format ? format->compression : IMAGE_NONE;
}

int unpack_check(enum image_compression compression, struct diag *diag)
{
	if (compression != IMAGE_LZO)
		return 0;
	return diag_fail(diag, ENOTSUP,
		"it is compressed with lzo, which is not unpacked here: build it with another CONFIG_KERNEL_* compression, or give its vmlinux");
}

/* ---- streams ---- */

static int run_stream(struct unpack_io *io, const struct codec *codec, void *state)
{
	struct codec_buf buf = { .out = io->out, .n_out = sizeof(io->out) };
	int ret, written;

	do {
		size_t n_in, n_out = buf.n_out;
		int64_t left = unpack_io_peek(io, 1);

		if (left < 0)
			return (int)left;
		buf.in = io->next;
		buf.n_in = n_in = io->n_in;
		buf.in_ends = !io->in_left;
		ret = codec->step(state, &buf);
		io->next = buf.in;
		io->n_in = buf.n_in;
		if (ret == CODEC_MORE && buf.n_in == n_in && buf.n_out == n_out)
			return buf.in_ends && !buf.n_in ? -ENODATA : -EBADMSG;
		if (ret == CODEC_END || !buf.n_out) {
			written = unpack_io_write(io, io->out, sizeof(io->out) - buf.n_out);
			if (written)
				return written;
			buf.out = io->out;
			buf.n_out = sizeof(io->out);
		}
	} while (ret == CODEC_MORE);
	return ret < 0 ? ret : 0;
}

static int unpack_stream(struct unpack_io *io, const struct format *format)
{
	void *state;
	int ret;

	if (!format->codec)
		return lz4_legacy_unpack(io, MAX_STREAMS);
	state = format->codec->create();
	if (!state)
		return -ENOMEM;
	ret = run_stream(io, format->codec, state);
	format->codec->destroy(state);
	return ret;
}

/* Streams as long as there are more, then nothing or the size. */
static int unpack_all(struct unpack_io *io, const struct format *format)
{
	unsigned int n_streams = 0;
	uint32_t size;
	int64_t left;
	int ret;

	do {
		ret = ++n_streams > MAX_STREAMS ? -E2BIG : unpack_stream(io, format);
		if (ret)
			return ret == UNPACK_ENOUGH ? 0 : ret;
		left = unpack_io_peek(io, sizeof(format->magic));
		if (left < 0)
			return (int)left;
	} while (left > (int64_t)sizeof(size) && find_format(io->next, io->n_in) == format);
	if (left != sizeof(size))
		return left ? -EBADMSG : 0;
	memcpy(&size, io->next, sizeof(size));
	return le32toh(size) == (uint32_t)io->total ? 0 : -EBADMSG;
}

/* ---- the whole ---- */

static int explain_limit(const struct unpack_io *io, const struct unpack_job *job, const char *name,
	struct diag *diag)
{
	if (io->needed != UINT64_MAX && io->needed > job->max_size)
		return diag_fail(diag, EFBIG,
			"the %s-compressed kernel has %" PRIu64
			" MiB to load, and no more than %" PRIu64 " MiB are unpacked here",
			name, (io->needed + MIB(1) - 1) >> 20, job->max_size >> 20);
	return diag_fail(diag, EFBIG,
		"the %s-compressed kernel unpacks to more than the %" PRIu64
		" KiB that its header has room for: it is damaged",
		name, (job->max_total + 1023) >> 10);
}

static int explain_content(const struct unpack_io *io, const char *name, struct diag *diag)
{
	const char *looks_like = foreign_name(io->start, sizeof(io->start));

	return diag_fail(diag, ENOEXEC, "what is %s-compressed in it is not an ELF kernel%s%s",
		name, looks_like ? ", it looks like " : "", looks_like ? looks_like : "");
}

static int explain(int err, const struct unpack_io *io, const struct unpack_job *job,
	const char *name, struct diag *diag)
{
	if (io->out_err)
		return diag_fail(
			diag, -err, "the unpacked kernel cannot be written: %s", error_text(-err));
	if (io->elf_err) {
		*diag = io->elf_diag;
		return io->elf_err;
	}
	switch (-err) {
	case EBADMSG:
		return diag_fail(diag, ENOEXEC,
			"the %s-compressed kernel is damaged: fetch or build it again", name);
	case ENODATA:
		return diag_fail(diag, ENOEXEC,
			"the %s-compressed kernel ends early: the file is truncated", name);
	case ENOEXEC: return explain_content(io, name, diag);
	case EFBIG: return explain_limit(io, job, name, diag);
	case E2BIG:
		return diag_fail(diag, E2BIG,
			"the %s-compressed kernel is in more than %u pieces: compress it in one",
			name, MAX_STREAMS);
	case ENOMEM:
		return diag_fail(diag, E2BIG,
			"to unpack the %s-compressed kernel takes more than %" PRIu64
			" MiB of memory: compress it with a smaller dictionary",
			name, CODEC_MAX_MEMORY >> 20);
	default: return diag_fail(diag, -err, "cannot be read: %s", error_text(-err));
	}
}

static int run(struct unpack_io *io, enum image_compression compression)
{
	int64_t left = unpack_io_peek(io, UNPACK_HEAD);
	const struct format *format;
	int ret;

	if (left < 0)
		return (int)left;
	format = find_format(io->next, io->n_in);
	if (!format || format->compression != compression)
		return -EBADMSG; /* it changed since it was identified */
	ret = unpack_all(io, format);
	if (!ret && !io->total)
		ret = -ENOEXEC;
	return ret ? ret : unpack_io_finish(io);
}

int unpack(enum image_compression compression, struct unpack_job *job, struct diag *diag)
{
	struct unpack_io *io;
	int ret = unpack_check(compression, diag);

	job->out_size = 0;
	job->out_err = 0;
	if (ret < 0)
		return ret;
	io = malloc(sizeof(*io));
	if (!io)
		return diag_fail(diag, ENOMEM, "no memory to unpack it");
	unpack_io_init(io, job->in_fd, job->in_offset, job->in_size, job->out_fd);
	io->max_kept = job->max_size;
	if (job->max_total)
		io->max_total = job->max_total;
	ret = run(io, compression);
	job->out_size = io->kept;
	job->out_err = io->out_err;
	if (ret < 0)
		ret = explain(ret, io, job, image_compression_name(compression), diag);
	free(io);
	return ret;
}
