// SPDX-License-Identifier: MIT
/* unpack.c - decompress a kernel from one file into another */

#include "image/unpack.h"

#include "image/unpack_io.h"
#include "util/bits.h"
#include "util/file.h"

#include <elf.h>
#include <endian.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct format {
	enum image_compression compression;
	uint8_t n_magic;
	uint8_t magic[9];
	const struct unpack_codec *codec; /* NULL: legacy LZ4, or LZO */
};

static const struct format formats[] = {
	{ IMAGE_GZIP, 2, { 0x1f, 0x8b }, &unpack_gzip },
	{ IMAGE_XZ, 6, { 0xfd, '7', 'z', 'X', 'Z', 0 }, &unpack_xz },
	{ IMAGE_LZMA, 3, { 0x5d, 0, 0 }, &unpack_lzma },
	{ IMAGE_ZSTD, 4, { 0x28, 0xb5, 0x2f, 0xfd }, &unpack_zstd },
	{ IMAGE_LZ4, 4, { 0x02, 0x21, 0x4c, 0x18 }, NULL },
	{ IMAGE_LZ4, 4, { 0x04, 0x22, 0x4d, 0x18 }, &unpack_lz4_frame },
	{ IMAGE_BZIP2, 3, { 'B', 'Z', 'h' }, &unpack_bzip2 },
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

/* ---- input ---- */

static int refill(struct unpack_io *io)
{
	size_t n = sizeof(io->in) - io->n_in;
	int ret;

	memmove(io->in, io->next, io->n_in);
	io->next = io->in;
	if (n > io->in_left)
		n = (size_t)io->in_left;
	ret = file_read_at(io->job->in_fd, io->in + io->n_in, n, io->in_pos);
	if (ret < 0)
		return ret;
	io->n_in += n;
	io->in_pos += n;
	io->in_left -= n;
	return 0;
}

int64_t unpack_io_peek(struct unpack_io *io, size_t n)
{
	int ret;

	if (io->n_in < n && io->in_left) {
		ret = refill(io);
		if (ret < 0)
			return ret;
	}
	return (int64_t)(io->n_in + io->in_left);
}

int64_t unpack_io_read(struct unpack_io *io, void *data, size_t n)
{
	size_t shown = n < io->n_in ? n : io->n_in;
	size_t more = n - shown;
	int ret;

	memcpy(data, io->next, shown);
	io->next += shown;
	io->n_in -= shown;
	if (more > io->in_left)
		more = (size_t)io->in_left;
	ret = file_read_at(io->job->in_fd, (uint8_t *)data + shown, more, io->in_pos);
	if (ret < 0)
		return ret;
	io->in_pos += more;
	io->in_left -= more;
	return (int64_t)(shown + more);
}

/* ---- output ---- */

/* Blocks of zeros are left out: a quarter of a kernel is its .bss and the like, and what is a hole
 * in the file costs neither disk, nor a read, nor guest memory that nobody has touched.
 */
#define HOLE_SIZE (UINT64_C(64) << 10)

static bool starts_hole(uint64_t pos, const char *data, size_t n)
{
	return pos % HOLE_SIZE == 0 && n >= HOLE_SIZE && !data[0] &&
	       !memcmp(data, data + 1, HOLE_SIZE - 1);
}

/* Bytes up to the next place where a hole starts. */
static size_t span_of_data(uint64_t pos, const char *data, size_t n)
{
	size_t span = 0;

	while (span < n && !starts_hole(pos + span, data + span, n - span))
		span += HOLE_SIZE - (pos + span) % HOLE_SIZE;
	return span < n ? span : n;
}

int unpack_io_write(struct unpack_io *io, const void *data, size_t n)
{
	struct unpack_job *job = io->job;
	const char *from = data;

	/* The first write has whatever of the magic there is. */
	if (!job->out_size && n && (n < SELFMAG || memcmp(data, ELFMAG, SELFMAG)))
		return -ENOEXEC;
	if (n > job->max_size - job->out_size)
		return -EFBIG;
	while (n && !job->out_err) {
		size_t span = span_of_data(job->out_size, from, n);

		job->out_err = file_write_at(job->out_fd, from, span, job->out_size);
		job->out_size += span;
		from += span;
		n -= span;
		for (; starts_hole(job->out_size, from, n); n -= HOLE_SIZE, from += HOLE_SIZE)
			job->out_size += HOLE_SIZE;
	}
	return job->out_err;
}

/* A hole at the end is part of the file, too. */
static int finish_output(struct unpack_job *job)
{
	if (ftruncate(job->out_fd, (off_t)job->out_size))
		job->out_err = -errno;
	return job->out_err;
}

/* ---- streams ---- */

static int run_stream(struct unpack_io *io, const struct unpack_codec *codec, void *state)
{
	struct unpack_buf buf = { .out = io->out, .n_out = sizeof(io->out) };
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
		if (ret == UNPACK_MORE && buf.n_in == n_in && buf.n_out == n_out)
			return buf.in_ends && !buf.n_in ? -ENODATA : -EBADMSG;
		if (ret == UNPACK_END || !buf.n_out) {
			written = unpack_io_write(io, io->out, sizeof(io->out) - buf.n_out);
			if (written < 0)
				return written;
			buf.out = io->out;
			buf.n_out = sizeof(io->out);
		}
	} while (ret == UNPACK_MORE);
	return ret < 0 ? ret : 0;
}

static int unpack_stream(struct unpack_io *io, const struct format *format)
{
	void *state;
	int ret;

	if (!format->codec)
		return unpack_lz4_legacy(io);
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
	uint32_t size;
	int64_t left;
	int ret;

	do {
		ret = unpack_stream(io, format);
		if (ret < 0)
			return ret;
		left = unpack_io_peek(io, sizeof(format->magic));
		if (left < 0)
			return (int)left;
	} while (left > (int64_t)sizeof(size) && find_format(io->next, io->n_in) == format);
	if (left != sizeof(size))
		return left ? -EBADMSG : 0;
	memcpy(&size, io->next, sizeof(size));
	return le32toh(size) == (uint32_t)io->job->out_size ? 0 : -EBADMSG;
}

static int explain(int err, const struct unpack_job *job, const char *name, struct diag *diag)
{
	if (job->out_err)
		return diag_fail(
			diag, -err, "the unpacked kernel cannot be written: %s", strerror(-err));
	switch (-err) {
	case EBADMSG:
		return diag_fail(diag, ENOEXEC,
			"the %s-compressed kernel is damaged: fetch or build it again", name);
	case ENODATA:
		return diag_fail(diag, ENOEXEC,
			"the %s-compressed kernel ends early: the file is truncated", name);
	case ENOEXEC:
		return diag_fail(
			diag, ENOEXEC, "what is %s-compressed in it is not an ELF kernel", name);
	case EFBIG:
		return diag_fail(diag, EFBIG,
			"the %s-compressed kernel unpacks to more than the %" PRIu64
			" KiB it may have: it is damaged or made to do harm",
			name, (job->max_size + 1023) >> 10);
	case ENOMEM:
		return diag_fail(diag, ENOMEM,
			"to unpack the %s-compressed kernel takes more than %" PRIu64
			" MiB of memory: compress it with a smaller dictionary",
			name, UNPACK_MAX_MEMORY >> 20);
	default: return diag_fail(diag, -err, "cannot be read: %s", strerror(-err));
	}
}

int unpack(enum image_compression compression, struct unpack_job *job, struct diag *diag)
{
	const char *name = image_compression_name(compression);
	const struct format *format;
	struct unpack_io *io;
	int64_t left;
	int ret = 0;

	job->out_size = 0;
	job->out_err = 0;
	if (compression == IMAGE_LZO)
		return diag_fail(diag, ENOTSUP,
			"it is compressed with lzo, which is not unpacked here: build it with another CONFIG_KERNEL_* compression, or give its vmlinux");
	io = malloc(sizeof(*io));
	if (!io)
		return diag_fail(diag, ENOMEM, "no memory to unpack it");
	io->job = job;
	io->in_pos = job->in_offset;
	io->in_left = job->in_size;
	io->next = io->in;
	io->n_in = 0;
	left = unpack_io_peek(io, UNPACK_HEAD);
	format = left < 0 ? NULL : find_format(io->next, io->n_in);
	if (left < 0)
		ret = (int)left;
	else if (!format || format->compression != compression)
		ret = -EBADMSG; /* it changed since it was identified */
	else
		ret = unpack_all(io, format);
	if (!ret && !job->out_size)
		ret = -ENOEXEC;
	if (!ret)
		ret = finish_output(job);
	free(io);
	return ret < 0 ? explain(ret, job, name, diag) : 0;
}
