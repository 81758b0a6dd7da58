// SPDX-License-Identifier: MIT
/* unpack_io.c - what the decompressors read from and write to */

#include "image/unpack_io.h"

#include "image/elf_span.h"
#include "util/bits.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <unistd.h>

void unpack_io_init(struct unpack_io *io, int in_fd, uint64_t offset, uint64_t size, int out_fd)
{
	io->in_fd = in_fd;
	io->in_pos = offset;
	io->in_left = size;
	io->next = io->in;
	io->n_in = 0;
	io->out_fd = out_fd;
	io->max_total = UINT64_MAX;
	io->max_kept = UINT64_MAX;
	io->total = 0;
	io->kept = 0;
	io->needed = UINT64_MAX;
	memset(io->start, 0, sizeof(io->start));
	io->out_err = 0;
	io->elf_err = 0;
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
	ret = file_read_at(io->in_fd, io->in + io->n_in, n, io->in_pos);
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
	ret = file_read_at(io->in_fd, (uint8_t *)data + shown, more, io->in_pos);
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

static int keep(struct unpack_io *io, const char *data, size_t n)
{
	while (n && !io->out_err) {
		size_t span = span_of_data(io->kept, data, n);

		io->out_err = file_write_at(io->out_fd, data, span, io->kept);
		io->kept += span;
		data += span;
		n -= span;
		for (; starts_hole(io->kept, data, n); n -= HOLE_SIZE, data += HOLE_SIZE)
			io->kept += HOLE_SIZE;
	}
	return io->out_err;
}

/* The first write has whatever of the magic there is. */
static bool starts_elf(struct unpack_io *io, const void *data, size_t n)
{
	memcpy(io->start, data, n < sizeof(io->start) ? n : sizeof(io->start));
	return n >= SELFMAG && !memcmp(data, ELFMAG, SELFMAG);
}

static int learn_needed(struct unpack_io *io)
{
	struct elf_span span;

	io->elf_err = elf_span_find(&span, io->out_fd, io->kept, UNPACK_TAIL_SIZE, &io->elf_diag);
	if (io->elf_err)
		return io->elf_err;
	io->needed = span.end;
	if (io->needed > io->max_kept)
		return -EFBIG;
	if (span.leaves_sections)
		io->out_err = elf_span_drop_sections(io->out_fd);
	return io->out_err;
}

int unpack_io_write(struct unpack_io *io, const void *data, size_t n)
{
	uint64_t wanted = io->needed > io->total ? io->needed - io->total : 0;
	int ret;

	if (!io->total && n && !starts_elf(io, data, n))
		return -ENOEXEC;
	if (n > io->max_total - io->total)
		return -EFBIG;
	io->total += n;
	ret = keep(io, data, n < wanted ? n : (size_t)wanted);
	if (!ret && io->needed == UINT64_MAX && io->kept >= UNPACK_HEAD_SIZE)
		ret = learn_needed(io);
	if (ret)
		return ret;
	return io->total > io->needed && io->total - io->needed >= UNPACK_TAIL_SIZE ? UNPACK_ENOUGH
	                                                                            : 0;
}

/* What came with the headers may be more than they ask for; and a hole at the end is part of the
 * file, too.
 */
int unpack_io_finish(struct unpack_io *io)
{
	if (io->kept > io->needed)
		io->kept = io->needed;
	if (ftruncate(io->out_fd, (off_t)io->kept))
		io->out_err = -errno;
	return io->out_err;
}
