// SPDX-License-Identifier: MIT
/* blk.c - virtio-blk */

#include "dev/blk.h"

#include "dev/blk_parts.h"
#include "dev/blk_remote.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Of the configuration space what the features here are about; more of it is newer than some
 * headers.
 */
#define CONFIG_SIZE 60

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
	blk_settled(blk);
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
		.seg_max = BLK_MAX_SEGMENTS,
		.wce = 1,
		.num_queues = (uint16_t)options->n_queues,
		.max_discard_sectors = BLK_MAX_RANGE_SECTORS,
		.max_discard_seg = BLK_MAX_RANGES,
		.max_write_zeroes_sectors = BLK_MAX_RANGE_SECTORS,
		.max_write_zeroes_seg = BLK_MAX_RANGES,
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
		BLK_QUEUE_SIZE, diag);
	if (ret)
		goto err_disk;
	blk->dev.writes_unseen = options->direct;
	ret = make_requests(blk, options->n_queues * BLK_QUEUE_SIZE, diag);
	if (ret)
		goto err_dev;
	ret = disk_attach(blk->disk, env->loop, &blk->dev.dev.lock, &blk_disk_ops, blk);
	if (!ret && rate_is_limited(&blk->rate))
		ret = open_timer(blk);
	if (!ret)
		return &blk->dev;
	diag_fail(diag, -ret, "%s: epoll: %s", options->path, error_text(-ret));
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
static int exchange_file(
	struct blk *blk, const struct blk_options *options, int fd, struct diag *diag)
{
	const struct disk_spec spec = spec_of(options);
	int ret;

	blk_quiesce(&blk->dev);
	ret = disk_exchange(blk->disk, &spec, fd, diag);
	if (ret)
		return ret;
	tell_file(blk);
	virtio_config_changed(&blk->dev);
	return 0;
}

/* What waits by the old rate is looked at anew. */
static int blk_update(
	struct virtio_dev *dev, const void *opts, const struct virtio_anew *anew, struct diag *diag)
{
	struct blk *blk = (struct blk *)dev;
	const struct blk_options *options = opts;
	bool is_limited = options->rate.tokens || options->ops.tokens;
	int ret = is_limited && blk->timer.fd < 0 ? open_timer(blk) : 0;

	if (ret)
		return diag_fail(diag, -ret, "timerfd: %s", error_text(-ret));
	ret = anew ? exchange_file(blk, options, anew->fd, diag) : 0;
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
	STATE_FIELD(struct blk, config.blk_size, 2),
	STATE_END,
};

static const struct state_table state = { "disk", 2, fields };

/* A driver knows its blocks and its size, and may have in its memory what was on it. */
static int blk_loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct blk *blk = (struct blk *)dev;
	const struct virtio_blk_config saved = blk->config;

	if (!(dev->status & VIRTIO_CONFIG_S_DRIVER)) {
		tell_file(blk);
		blk->read_only = dev->offered & VIRTIO_BIT(VIRTIO_BLK_F_RO);
		return 0;
	}
	if (disk_keep_blocks(blk->disk, saved.blk_size))
		return diag_fail(diag, EINVAL,
			"what is behind it has blocks of %u bytes, and had such of %u: it is "
			"another disk",
			disk_block_size(blk->disk), saved.blk_size);
	tell_file(blk);
	if (saved.capacity != blk->config.capacity)
		return diag_fail(diag, EINVAL,
			"what is behind it has %llu sectors, and had %llu: it is another disk",
			(unsigned long long)blk->config.capacity,
			(unsigned long long)saved.capacity);
	if (blk->read_only != !!(dev->offered & VIRTIO_BIT(VIRTIO_BLK_F_RO)))
		return diag_fail(diag, EINVAL, "it was %s, and is not any more",
			blk->read_only ? "read-only" : "to be written to");
	return 0;
}

static int blk_saving(struct virtio_dev *dev, struct diag *diag)
{
	int ret = disk_save_overlay(((struct blk *)dev)->disk);

	return ret ? diag_fail(diag, -ret, "its overlay cannot be written: %s", error_text(-ret))
	           : 0;
}

static const char *blk_why_stays(const struct virtio_dev *dev)
{
	const struct blk *blk = (const struct blk *)dev;

	return blk->is_gone_with_us && blk->was_changed
	               ? "its overlay, which was written to, is gone with this process: give "
	                 "overlay=FILE"
	               : NULL;
}

/* ---- a fork ---- */

static int blk_copy(struct virtio_dev *dev, int *fd, struct diag *diag)
{
	const struct blk *blk = (const struct blk *)dev;
	int ret;

	if (!blk->is_gone_with_us || !blk->was_changed)
		return 0;
	ret = disk_copy_overlay(blk->disk, diag);
	if (ret < 0)
		return ret;
	*fd = ret;
	return 0;
}

static int blk_take_copy(struct virtio_dev *dev, struct virtio_dev *from, int fd, struct diag *diag)
{
	struct blk *blk = (struct blk *)dev;

	if (!blk->is_gone_with_us)
		return diag_fail(diag, EINVAL,
			"what the machine has written to it is in an overlay that is gone with it: "
			"leave `overlay` as it is");
	blk->was_changed = true;
	return disk_take_overlay(blk->disk, ((struct blk *)from)->disk, fd, diag);
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
	.saving = blk_saving,
	.why_stays = blk_why_stays,
	.loaded = blk_loaded,
	.copy = blk_copy,
	.take_copy = blk_take_copy,
	.counters = counters,
	.close = blk_close,
};
