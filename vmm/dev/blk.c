// SPDX-License-Identifier: MIT
/* blk.c - virtio-blk */

#include "dev/blk.h"

#include "dev/blk_remote.h"
#include "util/bits.h"
#include "util/iov.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define QUEUE_SIZE   256
#define MAX_SEGMENTS (QUEUE_SIZE - 2) /* of data: the header and the status have one each */

/* In flight, or done in one turn, of data; then requests wait.  The machine's end waits for them.
 */
#define MOST_AT_ONCE MIB(64)

/* 5.2.6.2: ranges of one discard, and how large each may be. */
#define MAX_RANGES        64
#define MAX_RANGE_SECTORS (UINT32_MAX / DISK_SECTOR)

/* Of the configuration space what the features here are about; more of it is newer than some
 * headers.
 */
#define CONFIG_SIZE 60

/* In flight: its segments are its own until the host is done with it. */
struct request {
	struct disk_io io; /* first */
	struct virtq *vq;
	uint16_t head;
	uint8_t *status;
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint32_t n_in; /* bytes of data for the guest */
	uint32_t size; /* bytes of data, either way */

	/* Of a discard: the ranges that are still to be done. */
	struct virtio_blk_discard_write_zeroes range[MAX_RANGES];
	unsigned int n_ranges, next_range;
	bool then_flush; /* and what they have done is to be on stable storage */

	struct request *next; /* while it is free */
	struct iovec iov[MAX_SEGMENTS + 2];
};

struct blk {
	struct virtio_dev dev; /* first */
	struct disk *disk;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	bool read_only;
	bool is_gone_with_us; /* what is written to it, if */
	bool was_changed;     /* something may have been */
	bool write_back; /* what is written may stay in the host's memory until it is flushed */
	struct rate rate;
	struct loop_source timer; /* for what has to wait by it; fd -1: there is no limit */
	struct request *requests; /* owned; as many as all queues together can have in flight */
	unsigned int n_requests;
	unsigned int n_touched; /* of them, the first: what no guest has needed takes no memory */
	struct request *free;   /* of these */
	uint64_t n_bytes;       /* of data in flight, or done since io_settled() */
	uint64_t n_done;        /* the latter */
	bool waits;             /* some request does, until there are less */
	const struct virtq *stopping; /* its requests are waited for, or given up; or NULL */

	uint64_t n_reads, n_writes, n_flushes, n_failures, n_unknown;
	uint64_t n_read, n_written; /* bytes */
	uint64_t n_throttled;       /* times that a queue had to wait by its rate */
	uint64_t n_updates;
};

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "read_count", offsetof(struct blk, n_reads) },
	{ "read_bytes", offsetof(struct blk, n_read) },
	{ "write_count", offsetof(struct blk, n_writes) },
	{ "write_bytes", offsetof(struct blk, n_written) },
	{ "flush_count", offsetof(struct blk, n_flushes) },
	{ "execute_fails", offsetof(struct blk, n_failures) },
	{ "invalid_reqs_count", offsetof(struct blk, n_unknown) },
	{ "rate_limiter_throttled_events", offsetof(struct blk, n_throttled) },
	{ "update_count", offsetof(struct blk, n_updates) },
	{ NULL, 0 },
};

/* ---- requests ---- */

static struct request *take_request(struct blk *blk)
{
	struct request *request = blk->free;

	if (request) {
		blk->free = request->next;
		return request;
	}
	BUG_ON(blk->n_touched == blk->n_requests);
	return &blk->requests[blk->n_touched++];
}

static void free_request(struct blk *blk, struct request *request)
{
	request->next = blk->free;
	blk->free = request;
}

static void count(struct blk *blk, const struct request *request, uint8_t status)
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
static void answer(struct blk *blk, struct request *request, uint8_t status)
{
	count(blk, request, status);
	*request->status = status;
	virtq_push(request->vq, request->head, request->n_in + 1);
	blk->n_done += request->size;
	free_request(blk, request);
}

static void start_range(struct blk *blk, struct request *request)
{
	const struct virtio_blk_discard_write_zeroes *range =
		&request->range[request->next_range++];

	request->io.offset = range->sector * DISK_SECTOR;
	request->io.size = (uint64_t)range->num_sectors * DISK_SECTOR;
	request->io.unmap = range->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	disk_start(blk->disk, &request->io);
}

static void start_flush(struct blk *blk, struct request *request)
{
	request->then_flush = false;
	request->io.op = DISK_FLUSH;
	request->io.size = 0;
	disk_start(blk->disk, &request->io);
}

static void io_done(void *ctx, struct disk_io *io)
{
	struct blk *blk = ctx;
	struct request *request = (struct request *)io;

	if (io->result)
		answer(blk, request, VIRTIO_BLK_S_IOERR);
	else if (request->next_range < request->n_ranges)
		start_range(blk, request);
	else if (request->then_flush)
		start_flush(blk, request);
	else
		answer(blk, request, VIRTIO_BLK_S_OK);
}

static void io_settled(void *ctx)
{
	struct blk *blk = ctx;
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

static bool io_unwanted(void *ctx, const struct disk_io *io)
{
	const struct blk *blk = ctx;

	return blk->stopping &&
	       (blk->dev.is_ending || ((const struct request *)io)->vq == blk->stopping);
}

static const struct disk_ops disk_ops = {
	.done = io_done,
	.settled = io_settled,
	.unwanted = io_unwanted,
};

/* ---- its rate ---- */

static void timer_ready(void *ctx, uint32_t)
{
	struct blk *blk = ctx;

	loop_counter_read(blk->timer.fd);
	for (unsigned int i = 0; i < blk->dev.n_queues; i++)
		virtio_serve(&blk->dev, virtio_queue(&blk->dev, i));
}

static int open_timer(struct blk *blk)
{
	blk->timer = (struct loop_source){ -1, timer_ready, blk, &blk->dev.dev.lock };
	return loop_add_timer(blk->dev.env->loop, &blk->timer, 0, 0);
}

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
static int move_data(
	struct blk *blk, struct request *request, enum disk_op op, uint64_t sector, uint64_t size)
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
static int flush(struct blk *blk, struct request *request)
{
	if (blk->read_only)
		return VIRTIO_BLK_S_OK;
	start_flush(blk, request);
	return -1;
}

static int get_id(struct blk *blk, struct request *request)
{
	request->n_in = (uint32_t)iov_write(
		request->io.iov, request->io.n_iov, blk->serial, sizeof(blk->serial));
	return VIRTIO_BLK_S_OK;
}

/* 5.2.6.2: all ranges are looked at before one is touched. */
static int clear(struct blk *blk, struct request *request, enum disk_op op, uint64_t size)
{
	uint32_t allowed = op == DISK_ZERO ? VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP : 0;
	unsigned int n = (unsigned int)(size / sizeof(request->range[0]));

	if (blk->read_only || !n || n > MAX_RANGES || size % sizeof(request->range[0]))
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

static int carry_out(struct blk *blk, struct request *request,
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
static void take_data(struct request *request, const struct virtq_chain *chain, uint32_t type)
{
	const struct iovec *in = chain->iov + chain->n_out;

	request->io.iov = request->iov;
	if (type == VIRTIO_BLK_T_IN || type == VIRTIO_BLK_T_GET_ID)
		request->io.n_iov = iov_slice(request->iov, in, chain->n_in, 0, chain->in_size - 1);
	else
		request->io.n_iov = iov_slice(request->iov, chain->iov, chain->n_out,
			sizeof(struct virtio_blk_outhdr), UINT64_MAX);
}

static int blk_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct blk *blk = (struct blk *)dev;
	struct virtio_blk_outhdr header;
	const struct iovec *last;
	struct request *request;
	int status;

	if (!chain->in_size || chain->out_size < sizeof(header) ||
		chain->n_out + chain->n_in > MAX_SEGMENTS + 2)
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

static void blk_served(struct virtio_dev *dev, struct virtq *)
{
	struct blk *blk = (struct blk *)dev;

	disk_submit(blk->disk);
	io_settled(blk);
}

/* ---- its states ---- */

/* 5.2.6.2: without a way to flush, what is done is on stable storage. */
static int blk_start(struct virtio_dev *dev)
{
	struct blk *blk = (struct blk *)dev;

	blk->write_back = virtio_has_feature(dev, VIRTIO_BLK_F_CONFIG_WCE)
	                          ? blk->config.wce
	                          : virtio_has_feature(dev, VIRTIO_BLK_F_FLUSH);
	return 0;
}

/* What all queues had in flight is done then, and nothing else will say so. */
static void blk_quiesce(struct virtio_dev *dev)
{
	struct blk *blk = (struct blk *)dev;

	disk_wait(blk->disk);
	io_settled(blk);
}

static void blk_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct blk *blk = (struct blk *)dev;

	blk->stopping = vq;
	blk_quiesce(dev);
	blk->stopping = NULL;
}

static void blk_reset(struct virtio_dev *dev)
{
	((struct blk *)dev)->config.wce = 1;
}

static void blk_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value)
{
	struct blk *blk = (struct blk *)dev;

	if (offset != offsetof(struct virtio_blk_config, wce) || size != 1 ||
		!virtio_has_feature(dev, VIRTIO_BLK_F_CONFIG_WCE))
		return;
	blk->config.wce = value & 1;
	blk->write_back = blk->config.wce;
}

static void blk_close(struct virtio_dev *dev)
{
	struct blk *blk = (struct blk *)dev;

	disk_close(blk->disk);
	if (blk->timer.fd >= 0)
		close(blk->timer.fd);
	free(blk->requests);
	virtio_dev_fini(dev);
	free(blk);
}

/* ---- its making ---- */

static uint8_t exponent(uint32_t good_size, uint32_t block_size)
{
	uint8_t exp = 0;

	while (exp < 8 && (block_size << (exp + 1)) <= good_size)
		exp++;
	return exp;
}

/* What the file that is behind it says of the disk. */
static void tell_file(struct blk *blk)
{
	uint32_t block = disk_block_size(blk->disk), good = disk_good_size(blk->disk);

	blk->config.capacity = disk_size(blk->disk) / DISK_SECTOR;
	blk->config.blk_size = block;
	blk->config.physical_block_exp = exponent(good, block);
	blk->config.discard_sector_alignment = good / DISK_SECTOR;
}

static void fill_config(struct blk *blk, const struct blk_options *options)
{
	blk->config = (struct virtio_blk_config){
		.seg_max = MAX_SEGMENTS,
		.wce = 1,
		.num_queues = (uint16_t)options->n_queues,
		.max_discard_sectors = MAX_RANGE_SECTORS,
		.max_discard_seg = MAX_RANGES,
		.max_write_zeroes_sectors = MAX_RANGE_SECTORS,
		.max_write_zeroes_seg = MAX_RANGES,
		.write_zeroes_may_unmap = 1,
	};
	tell_file(blk);
	if (options->serial)
		memcpy(blk->serial, options->serial, strlen(options->serial));
	blk->dev.config = &blk->config;
	blk->dev.config_size = CONFIG_SIZE;
}

static uint64_t features(const struct blk *blk, const struct blk_options *options)
{
	uint64_t bits = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
	                VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);

	if (options->n_queues > 1)
		bits |= VIRTIO_BIT(VIRTIO_BLK_F_MQ);
	if (blk->read_only)
		return bits | VIRTIO_BIT(VIRTIO_BLK_F_RO);
	return bits | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
	       VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
}

/* As many as a guest that keeps the rules can have under way. */
static int make_requests(struct blk *blk, unsigned int n, struct diag *diag)
{
	blk->requests = malloc(n * sizeof(*blk->requests));
	blk->n_requests = n;
	return blk->requests ? 0 : diag_fail(diag, ENOMEM, "out of memory");
}

static struct disk_spec spec_of(const struct blk_options *options)
{
	return (struct disk_spec){
		.path = options->path,
		.read_only = options->read_only,
		.direct = options->direct,
		.engine = options->engine,
		.overlay = options->overlay,
		.overlay_path = options->overlay_path,
		.may_be_empty = options->may_be_empty,
	};
}

static struct virtio_dev *blk_open(
	const void *opts, const struct virtio_env *env, struct diag *diag)
{
	const struct blk_options *options = opts;
	const struct disk_spec spec = spec_of(options);
	struct blk *blk;
	int ret;

	if (options->vhost_user)
		return blk_remote_open(options, env, diag);
	blk = calloc(1, sizeof(*blk));
	if (!blk) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	blk->timer.fd = -1;
	blk->read_only = options->read_only;
	blk->is_gone_with_us = options->overlay == DISK_OVERLAY_GONE;
	rate_set(&blk->rate, &options->rate, &options->ops, timeline_now());
	blk->disk = disk_open(&spec, diag);
	if (!blk->disk)
		goto err_blk;
	fill_config(blk, options);
	ret = virtio_dev_init(&blk->dev, &blk_class, env, features(blk, options), options->n_queues,
		QUEUE_SIZE, diag);
	if (ret)
		goto err_disk;
	ret = make_requests(blk, options->n_queues * QUEUE_SIZE, diag);
	if (ret)
		goto err_dev;
	ret = disk_attach(blk->disk, env->loop, &blk->dev.dev.lock, &disk_ops, blk);
	if (!ret && rate_is_limited(&blk->rate))
		ret = open_timer(blk);
	if (!ret)
		return &blk->dev;
	diag_fail(diag, -ret, "%s: epoll: %s", options->path, strerror(-ret));
	free(blk->requests);
err_dev:
	virtio_dev_fini(&blk->dev);
err_disk:
	disk_close(blk->disk);
err_blk:
	free(blk);
	return NULL;
}

/* ---- its changes ---- */

/* The guest hears of it even if the size is the same, as what is on the disk need not be. */
static int exchange_file(struct blk *blk, const struct blk_options *options, struct diag *diag)
{
	const struct disk_spec spec = spec_of(options);
	int ret;

	blk_quiesce(&blk->dev);
	ret = disk_exchange(blk->disk, &spec, diag);
	if (ret)
		return ret;
	tell_file(blk);
	virtio_config_changed(&blk->dev);
	return 0;
}

/* What waits by the old rate is looked at anew. */
static int blk_update(struct virtio_dev *dev, const void *opts, bool anew, struct diag *diag)
{
	struct blk *blk = (struct blk *)dev;
	const struct blk_options *options = opts;
	bool is_limited = options->rate.tokens || options->ops.tokens;
	int ret = is_limited && blk->timer.fd < 0 ? open_timer(blk) : 0;

	if (ret)
		return diag_fail(diag, -ret, "timerfd: %s", strerror(-ret));
	ret = anew ? exchange_file(blk, options, diag) : 0;
	if (ret)
		return ret;
	counter_add(&blk->n_updates, 1);
	rate_set(&blk->rate, &options->rate, &options->ops, timeline_now());
	for (unsigned int i = 0; i < dev->n_queues; i++)
		virtio_kick_later(virtio_queue(dev, i));
	return 0;
}

static bool blk_shares_memory(const void *opts)
{
	return ((const struct blk_options *)opts)->vhost_user;
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct blk, config.capacity, 1),
	STATE_FIELD(struct blk, config.wce, 1),
	STATE_BOOL(struct blk, write_back, 1),
	STATE_BOOL(struct blk, read_only, 1),
	STATE_END,
};

static const struct state_table state = { "disk", 1, fields };

/* A driver knows its size, and may have in its memory what was on it. */
static int blk_loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct blk *blk = (struct blk *)dev;
	uint64_t sectors = disk_size(blk->disk) / DISK_SECTOR;

	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER)) {
		blk->config.capacity = sectors;
		blk->read_only = dev->offered & VIRTIO_BIT(VIRTIO_BLK_F_RO);
		return 0;
	}
	if (blk->config.capacity != sectors)
		return diag_fail(diag, EINVAL,
			"what is behind it has %llu sectors, and had %llu: it is another disk",
			(unsigned long long)sectors, (unsigned long long)blk->config.capacity);
	if (blk->read_only != !!(dev->offered & VIRTIO_BIT(VIRTIO_BLK_F_RO)))
		return diag_fail(diag, EINVAL, "it was %s, and is not any more",
			blk->read_only ? "read-only" : "to be written to");
	return 0;
}

static const char *blk_why_stays(const struct virtio_dev *dev)
{
	const struct blk *blk = (const struct blk *)dev;

	return blk->is_gone_with_us && blk->was_changed
	               ? "its overlay, which was written to, is gone with this process: give "
	                 "overlay=FILE"
	               : NULL;
}

const struct virtio_class blk_class = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.moves_data = true,
	.options = &blk_schema,
	.shares_memory = blk_shares_memory,
	.open = blk_open,
	.serve = blk_serve,
	.served = blk_served,
	.start = blk_start,
	.stop_queue = blk_stop_queue,
	.reset = blk_reset,
	.quiesce = blk_quiesce,
	.write_config = blk_write_config,
	.update = blk_update,
	.state = &state,
	.why_stays = blk_why_stays,
	.loaded = blk_loaded,
	.counters = counters,
	.close = blk_close,
};
