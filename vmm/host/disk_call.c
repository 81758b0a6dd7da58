// SPDX-License-Identifier: MIT
/* disk_call.c - one piece of a request by a call that waits */

#include "host/disk_parts.h"

#include "util/iov.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static ssize_t call(const struct disk_piece *piece)
{
	off_t offset = (off_t)piece->offset;
	int n = (int)piece->n_iov;

	switch (piece->call) {
	case PIECE_READ: return preadv2(piece->fd, piece->iov, n, offset, piece->flags);
	case PIECE_WRITE: return pwritev2(piece->fd, piece->iov, n, offset, piece->flags);
	case PIECE_SYNC: return fdatasync(piece->fd);
	case PIECE_ALLOCATE: return fallocate(piece->fd, piece->flags, offset, (off_t)piece->size);
	}
	return 0;
}

int disk_call(const struct disk_piece *piece)
{
	ssize_t n;

	do
		n = call(piece);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : (int)n;
}

/* Direct I/O is particular about memory, and guests are not all.  As much as fits. */
int disk_call_bounced(const struct disk_piece *piece, void *bounce, size_t bounce_size)
{
	struct iovec one = { bounce, piece->size < bounce_size ? piece->size : bounce_size };
	struct disk_piece part = *piece;
	int n;

	part.iov = &one;
	part.n_iov = 1;
	if (piece->call == PIECE_WRITE)
		iov_read(piece->iov, piece->n_iov, bounce, one.iov_len);
	n = disk_call(&part);
	if (n > 0 && piece->call == PIECE_READ)
		iov_write(piece->iov, piece->n_iov, bounce, (size_t)n);
	return n;
}
