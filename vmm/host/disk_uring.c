// SPDX-License-Identifier: MIT
/* disk_uring.c - many pieces at once, by io_uring */

#include "host/disk_parts.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <liburing.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

struct uring {
	struct io_uring ring;
	struct loop_source source;
};

/* liburing has functions for these, which its shared library does not have everywhere. */
static int tell_ring(const struct io_uring *ring, unsigned int what, const void *arg, size_t n)
{
	return syscall(SYS_io_uring_register, ring->ring_fd, what, arg, n) ? -errno : 0;
}

/* What is submitted is seen by no filter of system calls: the ring itself knows what it is for. */
static int restrict_ring(struct io_uring *ring)
{
	static const uint8_t ops[] = { IORING_OP_READV, IORING_OP_WRITEV, IORING_OP_FSYNC,
		IORING_OP_FALLOCATE };
	struct io_uring_restriction allowed[ARRAY_SIZE(ops)] = { 0 };
	int ret;

	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		allowed[i].opcode = IORING_RESTRICTION_SQE_OP;
		allowed[i].sqe_op = ops[i];
	}
	ret = tell_ring(ring, IORING_REGISTER_RESTRICTIONS, allowed, ARRAY_SIZE(ops));
	if (!ret)
		ret = tell_ring(ring, IORING_REGISTER_ENABLE_RINGS, NULL, 0);
	if (ret)
		io_uring_queue_exit(ring);
	return ret;
}

/* Without COOP_TASKRUN (Linux 5.19) whoever has submitted is interrupted for each that is done. One
 * that cannot be restricted (before 5.10) is not used.
 */
static int init_ring(struct io_uring *ring, unsigned int depth)
{
	static const unsigned int flags[] = { IORING_SETUP_COOP_TASKRUN, 0 };
	int ret = -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(flags) && ret == -EINVAL; i++) {
		struct io_uring_params params = { .flags = IORING_SETUP_CLAMP |
			                                   IORING_SETUP_R_DISABLED | flags[i] };

		ret = io_uring_queue_init_params(depth, ring, &params);
	}
	return ret ? ret : restrict_ring(ring);
}

static const char *why(int err)
{
	switch (err) {
	case ENOSYS: return "this kernel has none";
	case EINVAL: return "this kernel's cannot be told what it is for (Linux 5.10 can)";
	case EPERM: return "it is forbidden here (sysctl kernel.io_uring_disabled, or a filter)";
	default: return error_text(err);
	}
}

struct uring *uring_create(unsigned int depth, struct diag *diag)
{
	struct uring *uring = calloc(1, sizeof(*uring));
	int ret = uring ? init_ring(&uring->ring, depth) : -ENOMEM;

	if (!ret) {
		/* A fork is not to move the ring, nor to keep it from ending. */
		io_uring_ring_dontfork(&uring->ring);
		return uring;
	}
	free(uring);
	diag_fail(diag, -ret, "io_uring: %s", why(-ret));
	return NULL;
}

void uring_destroy(struct uring *uring)
{
	io_uring_queue_exit(&uring->ring);
	free(uring);
}

int uring_attach(struct uring *uring, struct loop *loop, struct loop_source source)
{
	uring->source = source;
	uring->source.fd = uring->ring.ring_fd;
	return loop_add(loop, &uring->source, EPOLLIN);
}

static void fill(struct io_uring_sqe *sqe, const struct disk_piece *piece)
{
	switch (piece->call) {
	case PIECE_READ:
		io_uring_prep_readv2(
			sqe, piece->fd, piece->iov, piece->n_iov, piece->offset, piece->flags);
		break;
	case PIECE_WRITE:
		io_uring_prep_writev2(
			sqe, piece->fd, piece->iov, piece->n_iov, piece->offset, piece->flags);
		break;
	case PIECE_SYNC: io_uring_prep_fsync(sqe, piece->fd, IORING_FSYNC_DATASYNC); break;
	case PIECE_ALLOCATE:
		/* As io_uring_prep_fallocate() does, whose types differ from release to release. */
		io_uring_prep_rw(IORING_OP_FALLOCATE, sqe, piece->fd, NULL,
			(unsigned int)piece->flags, piece->offset);
		sqe->addr = piece->size;
		break;
	}
}

bool uring_start(struct uring *uring, struct disk_io *io)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&uring->ring);

	if (!sqe) {
		io_uring_submit(&uring->ring);
		sqe = io_uring_get_sqe(&uring->ring);
	}
	if (!sqe)
		return false;
	fill(sqe, &io->piece);
	io_uring_sqe_set_data(sqe, io);
	return true;
}

void uring_submit(struct uring *uring, bool wait)
{
	if (wait)
		io_uring_submit_and_wait(&uring->ring, 1);
	else if (io_uring_sq_ready(&uring->ring))
		io_uring_submit(&uring->ring);
}

struct disk_io *uring_reap(struct uring *uring, int *result)
{
	struct io_uring_cqe *cqe;
	struct disk_io *io;

	if (io_uring_peek_cqe(&uring->ring, &cqe))
		return NULL;
	io = io_uring_cqe_get_data(cqe);
	*result = cqe->res;
	io_uring_cqe_seen(&uring->ring, cqe);
	return io;
}
