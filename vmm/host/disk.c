// SPDX-License-Identifier: MIT
/* disk.c - a guest's disk: requests, and the pieces they are done in */

#include "host/disk_parts.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/iov.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define DEPTH        256     /* requests that are handed to the host in one go */
#define MOST_AT_ONCE MIB(64) /* that one call reads or writes, so that no end waits long for it */

#define PUNCH (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE)
#define ZERO  (FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE)

/* ---- the segments of a piece ---- */

/* Make the first `size` bytes of the request's segments the piece's; the last may have to be cut.
 */
static void take_segments(struct disk_io *io, uint64_t size)
{
	struct disk_piece *piece = &io->piece;
	uint64_t before = 0;
	unsigned int n = 0;

	while (before + io->iov[n].iov_len < size)
		before += io->iov[n++].iov_len;
	io->cut = io->iov[n];
	io->iov[n].iov_len = size - before;
	piece->iov = io->iov;
	piece->n_iov = n + 1;
}

/* The piece is back, with its first `done` bytes moved. */
static void use_segments(struct disk_io *io, uint64_t done)
{
	io->iov[io->piece.n_iov - 1] = io->cut;
	io->n_iov = iov_skip(&io->iov, io->n_iov, done);
}

/* ---- from a request to its next piece ---- */

/* Where a part of the disk is: in the image, or in the overlay. */
static void place(const struct disk *disk, struct disk_piece *piece, bool in_overlay)
{
	piece->fd = in_overlay ? overlay_fd(disk->overlay) : disk->fd;
	piece->offset += in_overlay ? overlay_base(disk->overlay) : 0;
}

static void limit(struct disk_piece *piece)
{
	if (piece->size > MOST_AT_ONCE)
		piece->size = MOST_AT_ONCE;
}

static bool prepare_read(const struct disk *disk, struct disk_io *io)
{
	struct disk_piece *piece = &io->piece;
	bool in_overlay = false;

	limit(piece);
	if (disk->overlay)
		piece->size = overlay_run(disk->overlay, piece->offset, piece->size, &in_overlay);
	piece->call = PIECE_READ;
	place(disk, piece, in_overlay);
	take_segments(io, piece->size);
	return true;
}

static bool prepare_write(const struct disk *disk, struct disk_io *io)
{
	limit(&io->piece);
	io->piece.call = PIECE_WRITE;
	io->piece.flags = io->durable && !disk->overlay ? RWF_DSYNC : 0;
	place(disk, &io->piece, disk->overlay);
	take_segments(io, io->piece.size);
	return true;
}

static bool prepare_flush(const struct disk *disk, struct disk_io *io)
{
	io->piece.call = PIECE_SYNC;
	io->piece.fd = disk->fd;
	if (disk->overlay)
		io->result = overlay_sync(disk->overlay);
	return !disk->overlay;
}

/* Zeros written, piece by piece. */
static bool prepare_zeros(const struct disk *disk, struct disk_io *io)
{
	static _Alignas(DISK_ALIGN) const uint8_t zeros[KIB(64)];
	struct disk_piece *piece = &io->piece;

	if (piece->size > sizeof(zeros))
		piece->size = sizeof(zeros);
	io->zero = (struct iovec){ (void *)zeros, piece->size };
	piece->call = PIECE_WRITE;
	piece->iov = &io->zero;
	piece->n_iov = 1;
	place(disk, piece, disk->overlay);
	return true;
}

/* A block device has no holes, but calls of its own. */
static bool clear_device(const struct disk *disk, struct disk_io *io)
{
	uint64_t range[] = { io->offset, io->size };
	unsigned long call = io->op == DISK_DISCARD ? BLKDISCARD : BLKZEROOUT;

	if (ioctl(disk->fd, call, range))
		io->result = errno == EOPNOTSUPP && io->op == DISK_DISCARD ? 0 : -errno;
	return false;
}

/* How a range of a file is made to read as zeros; 0: by writing them. */
static int way_to_clear(const struct disk *disk, const struct disk_io *io)
{
	bool may_punch = io->op == DISK_DISCARD || io->unmap || disk->overlay;

	if (may_punch && !disk->no_punch)
		return PUNCH;
	return disk->no_zero_range ? 0 : ZERO;
}

static bool prepare_clear(const struct disk *disk, struct disk_io *io)
{
	if (disk->is_block_device && !disk->overlay)
		return clear_device(disk, io);
	/* To discard is a favour, to zero is not. */
	if (io->op == DISK_DISCARD && disk->no_punch)
		return false;
	io->piece.flags = way_to_clear(disk, io);
	if (!io->piece.flags)
		return prepare_zeros(disk, io);
	io->piece.call = PIECE_ALLOCATE;
	place(disk, &io->piece, disk->overlay);
	return true;
}

/* False: there is nothing to call for, io->result has come. */
static bool prepare(const struct disk *disk, struct disk_io *io)
{
	io->result = 0;
	io->piece = (struct disk_piece){
		.offset = io->offset + io->done,
		.size = io->size - io->done,
	};
	switch (io->op) {
	case DISK_READ: return io->size && prepare_read(disk, io);
	case DISK_WRITE: return io->size && prepare_write(disk, io);
	case DISK_FLUSH: return prepare_flush(disk, io);
	case DISK_DISCARD:
	case DISK_ZERO: return io->size && prepare_clear(disk, io);
	}
	return false;
}

/* ---- what a piece has come to ---- */

static bool fail(struct disk_io *io, int err)
{
	io->result = -err;
	return true;
}

/* All of it has been written. */
static bool finish_change(const struct disk *disk, struct disk_io *io)
{
	if (!disk->overlay)
		return true;
	overlay_mark(disk->overlay, io->offset, io->size);
	io->result = io->op == DISK_WRITE && io->durable ? overlay_sync(disk->overlay) : 0;
	return true;
}

/* Not every file system can do what was tried: then there is another way. */
static bool finish_allocate(struct disk *disk, struct disk_io *io, int result)
{
	if (result != -EOPNOTSUPP)
		return result ? fail(io, -result) : finish_change(disk, io);
	if (io->piece.flags == PUNCH)
		disk->no_punch = true;
	else
		disk->no_zero_range = true;
	return false;
}

/* A call may move less than it was asked to; beyond the file's end there is nothing to read. */
static bool finish_move(const struct disk *disk, struct disk_io *io, int result)
{
	if (result == -EINVAL && disk->bounce)
		result = disk_call_bounced(&io->piece, disk->bounce, DISK_BOUNCE);
	if (io->op != DISK_ZERO)
		use_segments(io, result > 0 ? (uint64_t)result : 0);
	if (result <= 0)
		return fail(io, result ? -result : EIO);
	io->done += (uint64_t)result;
	if (io->done < io->size)
		return false;
	return io->op == DISK_READ || finish_change(disk, io);
}

/* True: the request is done.  False: there is more of it. */
static bool finish_piece(struct disk *disk, struct disk_io *io, int result)
{
	switch (io->piece.call) {
	case PIECE_ALLOCATE: return finish_allocate(disk, io, result);
	case PIECE_SYNC: return !result || fail(io, -result);
	default: return finish_move(disk, io, result);
	}
}

/* ---- requests ---- */

static void complain(struct disk *disk, const struct disk_io *io)
{
	static const char *const what[] = { "reading", "writing", "flushing", "discarding",
		"zeroing" };
	bool in_overlay = disk->overlay && (io->op != DISK_READ || io->piece.fd != disk->fd);
	char where[64] = "";

	if (io->op != DISK_FLUSH)
		snprintf(where, sizeof(where), " %llu bytes at %llu", (unsigned long long)io->size,
			(unsigned long long)io->offset);
	log_warn("%s%s: %s%s: %s; the guest is told of an I/O error", disk->path,
		in_overlay ? ", its overlay" : "", what[io->op], where, error_text(-io->result));
}

static void tell_done(struct disk *disk, struct disk_io *io)
{
	if (io->result && io->result != -ECANCELED && log_limit_ok(&disk->limit))
		complain(disk, io);
	disk->n_in_flight--;
	disk->ops->done(disk->ctx, io);
}

static bool is_unwanted(const struct disk *disk, struct disk_io *io)
{
	bool unwanted = disk->ops->unwanted && disk->ops->unwanted(disk->ctx, io);

	if (unwanted)
		io->result = -ECANCELED;
	return unwanted;
}

/* Until it is done, or the host is at it. */
static void go_on(struct disk *disk, struct disk_io *io)
{
	do {
		if (is_unwanted(disk, io) || !prepare(disk, io))
			break;
		if (disk->uring && uring_start(disk->uring, io))
			return;
	} while (!finish_piece(disk, io, disk_call(&io->piece)));
	tell_done(disk, io);
}

void disk_start(struct disk *disk, struct disk_io *io)
{
	io->done = 0;
	disk->n_in_flight++;
	go_on(disk, io);
}

static void reap(struct disk *disk)
{
	struct disk_io *io;
	int result;

	while ((io = uring_reap(disk->uring, &result)) != NULL) {
		if (result == -EAGAIN || result == -EINTR)
			result = disk_call(&io->piece);
		if (finish_piece(disk, io, result))
			tell_done(disk, io);
		else
			go_on(disk, io);
	}
	uring_submit(disk->uring, false);
}

void disk_submit(struct disk *disk)
{
	if (!disk->uring)
		return;
	uring_submit(disk->uring, false);
	reap(disk);
}

void disk_wait(struct disk *disk)
{
	while (disk->n_in_flight) {
		uring_submit(disk->uring, true);
		reap(disk);
	}
}

static void ring_ready(void *ctx, uint32_t)
{
	struct disk *disk = ctx;

	reap(disk);
	disk->ops->settled(disk->ctx);
}

/* ---- */

int disk_attach(struct disk *disk, struct loop *loop, pthread_mutex_t *lock,
	const struct disk_ops *ops, void *ctx)
{
	const struct loop_source source = { .ready = ring_ready, .ctx = disk, .lock = lock };

	disk->ops = ops;
	disk->ctx = ctx;
	return disk->uring ? uring_attach(disk->uring, loop, source) : 0;
}

static int open_engine(struct disk *disk, enum disk_engine engine, struct diag *diag)
{
	struct diag why;

	if (engine == DISK_ENGINE_SYNC)
		return 0;
	disk->uring = uring_create(DEPTH, &why);
	if (disk->uring)
		return 0;
	if (engine == DISK_ENGINE_URING)
		return diag_fail(diag, EIO, "%s: %s; leave engine=uring out, which is slower",
			disk->path, why.text);
	log_info("%s: %s; the disk is slower without", disk->path, why.text);
	return 0;
}

static int make_bounce(struct disk *disk, struct diag *diag)
{
	disk->bounce = aligned_alloc(DISK_ALIGN, DISK_BOUNCE);
	return disk->bounce ? 0 : diag_fail(diag, ENOMEM, "out of memory");
}

static int open_overlay(struct disk *disk, const struct disk_spec *spec, struct diag *diag)
{
	struct diag why;

	if (spec->overlay == DISK_OVERLAY_NONE)
		return 0;
	if (spec->overlay == DISK_OVERLAY_KEPT)
		disk->overlay = overlay_open(spec->overlay_path, disk->size,
			disk->is_block_device ? NULL : &disk->changed, &why);
	else
		disk->overlay = overlay_create(disk->size, &why);
	return disk->overlay ? 0 : diag_fail(diag, EIO, "%s: overlay: %s", disk->path, why.text);
}

struct disk *disk_open(const struct disk_spec *spec, struct diag *diag)
{
	struct disk *disk = calloc(1, sizeof(*disk));
	int ret;

	if (!disk) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	disk->fd = -1;
	ret = disk_open_file(disk, spec, NULL, -1, diag);
	if (!ret)
		ret = open_overlay(disk, spec, diag);
	if (!ret && spec->direct)
		ret = make_bounce(disk, diag);
	if (!ret)
		ret = open_engine(disk, spec->engine, diag);
	if (!ret)
		return disk;
	disk_close(disk);
	return NULL;
}

static void close_overlay(struct disk *disk)
{
	int ret = disk->overlay ? overlay_close(disk->overlay) : 0;

	if (ret)
		log_error("%s: its overlay cannot be saved, and lacks what was written last: %s",
			disk->path, error_text(-ret));
}

static void give_file(struct disk *disk)
{
	if (disk->fd >= 0)
		close(disk->fd);
	free(disk->path);
}

void disk_close(struct disk *disk)
{
	BUG_ON(disk->n_in_flight);
	if (disk->uring)
		uring_destroy(disk->uring);
	close_overlay(disk);
	give_file(disk);
	free(disk->bounce);
	free(disk);
}

int disk_exchange(struct disk *disk, const struct disk_spec *spec, int fd, struct diag *diag)
{
	struct disk next = { .fd = -1 };
	int ret;

	BUG_ON(disk->n_in_flight);
	if (disk->overlay)
		return diag_fail(diag, EOPNOTSUPP,
			"%.300s: has an overlay, and what is in that fits no other file; a disk with "
			"one keeps its file",
			disk->path);
	ret = disk_open_file(&next, spec, disk, fd, diag);
	if (ret) {
		give_file(&next);
		return ret;
	}
	give_file(disk);
	disk->path = next.path;
	disk->fd = next.fd;
	disk->is_block_device = next.is_block_device;
	disk->size = next.size;
	disk->changed = next.changed;
	disk->good_size = next.good_size;
	disk->no_punch = disk->no_zero_range = false;
	return 0;
}

int disk_keep_blocks(struct disk *disk, uint32_t block_size)
{
	if (!block_size || block_size % disk->block_size)
		return -EINVAL;
	disk->block_size = block_size;
	disk->size -= disk->size % block_size;
	return 0;
}

int disk_copy_overlay(const struct disk *disk, struct diag *diag)
{
	struct diag why;
	int ret = overlay_copy(disk->overlay, disk->size, &why);

	return ret < 0 ? diag_fail(diag, -ret, "%s: overlay: %s", disk->path, why.text) : ret;
}

int disk_take_overlay(struct disk *disk, struct disk *from, int fd, struct diag *diag)
{
	struct diag why;
	int ret = overlay_take(disk->overlay, from->overlay, fd, disk->size, &why);

	return ret ? diag_fail(diag, -ret, "%s: overlay: %s", disk->path, why.text) : 0;
}

int disk_save_overlay(struct disk *disk)
{
	return disk->overlay ? overlay_save(disk->overlay) : 0;
}

uint64_t disk_size(const struct disk *disk)
{
	return disk->size;
}

uint32_t disk_block_size(const struct disk *disk)
{
	return disk->block_size;
}

uint32_t disk_good_size(const struct disk *disk)
{
	return disk->good_size;
}
