// SPDX-License-Identifier: MIT
/* blk_request.c - what a guest asks of a disk, and how that is answered */

#include "dev/blk_parts.h"
#include "util/iov.h"

#include <errno.h>
#include <string.h>

/* In flight, or done in one turn, of data; then requests wait.  The machine's end waits for them.
 */
#define MOST_AT_ONCE MIB(64)

/* ---- requests ---- */

static struct blk_request *take_request(struct blk *blk)
{
	struct blk_request *request = blk->free;

	if (request) {
		blk->free = request->next;
		return request;
	}
	BUG_ON(blk->n_touched == blk->n_requests);
	return &blk->requests[blk->n_touched++];
}

static void free_request(struct blk *blk, struct blk_request *request)
{
	request->next = blk->free;
	blk->free = request;
}

static void count(struct blk *blk, const struct blk_request *request, uint8_t status)
{
	if (status == VIRTIO_BLK_S_IOERR) {
		counter_add(&blk->n_failures, 1);
	} else if (status == VIRTIO_BLK_S_UNSUPP) {
		counter_add(&blk->n_unknown, 1);
	} else if (request->type == VIRTIO_BLK_T_IN) {
		counter_add(&blk->n_reads, 1);
		counter_add(&blk->n_read, request->size);
	} else if (request->type == VIRTIO_BLK_T_OUT) {
		counter_add(&blk->n_writes, 1);
		counter_add(&blk->n_written, request->size);
	} else if (request->type == VIRTIO_BLK_T_FLUSH) {
		counter_add(&blk->n_flushes, 1);
	}
}

/* 5.2.6: the status is the chain's last byte, and the guest looks at it alone. */
static void answer(struct blk *blk, struct blk_request *request, uint8_t status)
{
	count(blk, request, status);
	*request->status = status;
	virtq_push(request->vq, request->head, request->n_in + 1);
	blk->n_done += request->size;
	free_request(blk, request);
}

static void start_range(struct blk *blk, struct blk_request *request)
{
	const struct virtio_blk_discard_write_zeroes *range =
		&request->range[request->next_range++];

	request->io.offset = range->sector * DISK_SECTOR;
	request->io.size = (uint64_t)range->num_sectors * DISK_SECTOR;
	request->io.unmap = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	disk_start(blk->disk, &request->io);
}

static void start_flush(struct blk *blk, struct blk_request *request)
{
	request->then_flush = false;
	request->io.op = DISK_FLUSH;
	request->io.size = 0;
	disk_start(blk->disk, &request->io);
}

static void io_done(void *ctx, struct disk_io *io)
{
	struct blk *blk = ctx;
	struct blk_request *request = (struct blk_request *)io;

	if (io->result)
		answer(blk, request, VIRTIO_BLK_S_IOERR);
	else if (request->next_range < request->n_ranges)
		start_range(blk, request);
	else if (request->then_flush)
		start_flush(blk, request);
	else
		answer(blk, request, VIRTIO_BLK_S_OK);
}

void blk_settled(struct blk *blk)
{
	bool was_full;

	blk->n_bytes -= blk->n_done;
	blk->n_done = 0;
	was_full = blk->waits && blk->n_bytes < MOST_AT_ONCE;
	blk->waits &= !was_full;
	for (unsigned int i = 0; i < blk->dev.n_queues; i++) {
		virtio_signal(&blk->dev, virtio_queue(&blk->dev, i));
		if (was_full)
			virtio_kick_later(virtio_queue(&blk->dev, i));
	}
}

static void io_settled(void *ctx)
{
	blk_settled(ctx);
}

static bool io_unwanted(void *ctx, const struct disk_io *io)
{
	const struct blk *blk = ctx;

	return blk->stopping &&
	       (blk->dev.is_ending || ((const struct blk_request *)io)->vq == blk->stopping);
}

const struct disk_ops blk_disk_ops = {
	.done = io_done,
	.settled = io_settled,
	.unwanted = io_unwanted,
};

/* ---- what the guest asks for ---- */

/* All of it, and whole blocks. */
static bool on_disk(const struct blk *blk, uint64_t sector, uint64_t size)
{
	uint32_t block = disk_block_size(blk->disk);

	return sector <= blk->config.capacity &&
	       size <= (blk->config.capacity - sector) * DISK_SECTOR && !(size % block) &&
	       !(sector * DISK_SECTOR % block);
}

/* A status, or -1: it is under way. */
static int move_data(struct blk *blk, struct blk_request *request, enum disk_op op, uint64_t sector,
	uint64_t size)
{
	if ((op == DISK_WRITE && blk->read_only) || !on_disk(blk, sector, size) ||
		size > UINT32_MAX)
		return VIRTIO_BLK_S_IOERR;
	request->size = (uint32_t)size;
	blk->n_bytes += size;
	request->n_in = op == DISK_READ ? (uint32_t)size : 0;
	request->io.op = op;
	request->io.offset = sector * DISK_SECTOR;
	request->io.size = size;
	request->io.durable = op == DISK_WRITE && !blk->write_back;
	blk->was_changed |= op == DISK_WRITE;
	disk_start(blk->disk, &request->io);
	return -1;
}

/* Some guests flush what they cannot have written to (EDK2), and need to hear that it is well. */
static int flush(struct blk *blk, struct blk_request *request)
{
	if (blk->read_only)
		return VIRTIO_BLK_S_OK;
	start_flush(blk, request);
	return -1;
}

static int get_id(struct blk *blk, struct blk_request *request)
{
	request->n_in = (uint32_t)iov_write(
		request->io.iov, request->io.n_iov, blk->serial, sizeof(blk->serial));
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.2: all ranges are looked at before one is touched. */
static int clear(struct blk *blk, struct blk_request *request, enum disk_op op, uint64_t size)
{
	uint32_t allowed = op == DISK_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	unsigned int n = (unsigned int)(size / sizeof(request->range[0]));

	if (blk->read_only || !n || n > BLK_MAX_RANGES || size % sizeof(request->range[0]))
		return VIRTIO_BLK_S_IOERR;
	iov_read(request->io.iov, request->io.n_iov, request->range, size);
	for (unsigned int i = 0; i < n; i++) {
		const struct virtio_blk_discard_write_zeroes *range = &request->range[i];

		if (range->flags & ~allowed)
			return VIRTIO_BLK_S_UNSUPP;
		if (!on_disk(blk, range->sector, (uint64_t)range->num_sectors * DISK_SECTOR))
			return VIRTIO_BLK_S_IOERR;
	}
	request->io.op = op;
	request->then_flush = op == DISK_ZERO && !blk->write_back;
	request->n_ranges = n;
	blk->was_changed = true;
	start_range(blk, request);
	return -1;
}

static int carry_out(struct blk *blk, struct blk_request *request,
	const struct virtio_blk_outhdr *header, uint64_t out_size, uint64_t in_size)
{
	switch (header->type) {
	case VIRTIO_BLK_T_IN: return move_data(blk, request, DISK_READ, header->sector, in_size);
	case VIRTIO_BLK_T_OUT: return move_data(blk, request, DISK_WRITE, header->sector, out_size);
	case VIRTIO_BLK_T_FLUSH: return flush(blk, request);
	case VIRTIO_BLK_T_GET_ID: return get_id(blk, request);
	case VIRTIO_BLK_T_DISCARD: return clear(blk, request, DISK_DISCARD, out_size);
	case VIRTIO_BLK_T_WRITE_ZEROES: return clear(blk, request, DISK_ZERO, out_size);
	default: return VIRTIO_BLK_S_UNSUPP;
	}
}

/* The data's segments: without the header in front, or the status behind.  Which of the two there
 * are depends on the direction.
 */
static void take_data(struct blk_request *request, const struct virtq_chain *chain, uint32_t type)
{
	const struct iovec *in = chain->iov + chain->n_out;

	request->io.iov = request->iov;
	if (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID)
		request->io.n_iov = iov_slice(request->iov, in, chain->n_in, 0, chain->in_size - 1);
	else
		request->io.n_iov = iov_slice(request->iov, chain->iov, chain->n_out,
			sizeof(struct virtio_blk_outhdr), UINT64_MAX);
}

int blk_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct blk *blk = (struct blk *)dev;
	struct virtio_blk_outhdr header;
	const struct iovec *last;
	struct blk_request *request;
	int status;

	if (!chain->in_size || chain->out_size < sizeof(header) ||
		chain->n_out + chain->n_in > BLK_MAX_SEGMENTS + 2)
		return -EBADMSG;
	blk->waits |= blk->n_bytes >= MOST_AT_ONCE;
	if (blk->waits)
		return -EAGAIN;
	if (!loop_may_go(&blk->rate, blk->timer.fd)) {
		counter_add(&blk->n_throttled, 1);
		return -EAGAIN;
	}
	rate_take(&blk->rate, chain->out_size - sizeof(header) + chain->in_size - 1);
	request = take_request(blk);
	iov_read(chain->iov, chain->n_out, &header, sizeof(header));
	request->type = header.type;
	request->vq = vq;
	request->head = chain->head;
	last = &chain->iov[chain->n_out + chain->n_in - 1];
	request->status = (uint8_t *)last->iov_base + last->iov_len - 1;
	request->n_in = request->size = 0;
	request->io.durable = request->then_flush = false;
	request->n_ranges = request->next_range = 0;
	take_data(request, chain, header.type);
	status = carry_out(
		blk, request, &header, chain->out_size - sizeof(header), chain->in_size - 1);
	if (status >= 0)
		answer(blk, request, (uint8_t)status);
	return 0;
}

void blk_served(struct virtio_dev *dev, struct virtq *)
{
	struct blk *blk = (struct blk *)dev;

	disk_submit(blk->disk);
	blk_settled(blk);
}
