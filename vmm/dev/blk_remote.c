// SPDX-License-Identifier: MIT
/* blk_remote.c - virtio-blk whose data another process has */

#include "dev/blk_remote.h"

#include "host/remote.h"
#include "host/vhost_user.h"
#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define QUEUE_SIZE 256

/* The part that every back end has: later versions of the header know more. */
#define CONFIG_SIZE (offsetof(struct virtio_blk_config, unused1) + 3)

#define FEATURES                                                                          \
	(VIRTIO_BIT(VIRTIO_BLK_F_SIZE_MAX) | VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |           \
		VIRTIO_BIT(VIRTIO_BLK_F_GEOMETRY) | VIRTIO_BIT(VIRTIO_BLK_F_RO) |         \
		VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) |      \
		VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) | \
		VIRTIO_BIT(VIRTIO_BLK_F_MQ) | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |          \
		VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES))

struct blk_remote {
	struct remote remote; /* first */
	struct vhost_user vu;
	struct virtio_blk_config config;
	uint8_t first_wce; /* as the back end had it */
	char *socket;      /* its name */
};

static void set_wce(struct blk_remote *blk, uint8_t wce)
{
	int ret;

	if (blk->config.wce == wce || blk->remote.dev.lost)
		return;
	blk->config.wce = wce;
	ret = vhost_user_set_config(&blk->vu, offsetof(struct virtio_blk_config, wce),
		&blk->config.wce, sizeof(blk->config.wce));
	if (ret)
		remote_lose(&blk->remote, ret);
}

static void blk_remote_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value)
{
	if (offset == offsetof(struct virtio_blk_config, wce) && size == 1 &&
		virtio_has_feature(dev, VIRTIO_BLK_F_CONFIG_WCE))
		set_wce((struct blk_remote *)dev, value & 1);
}

static void blk_remote_reset(struct virtio_dev *dev)
{
	struct blk_remote *blk = (struct blk_remote *)dev;

	set_wce(blk, blk->first_wce);
}

/* 5.2.6: the status is the chain's last byte. */
static int blk_remote_serve_lost(
	struct virtio_dev *, struct virtq *vq, const struct virtq_chain *chain)
{
	const struct iovec *last;

	if (!chain->in_size)
		return -EBADMSG;
	last = &chain->iov[chain->n_out + chain->n_in - 1];
	((uint8_t *)last->iov_base)[last->iov_len - 1] = VIRTIO_BLK_S_IOERR;
	virtq_push(vq, chain->head, 1);
	return 0;
}

/* The back end may have another disk by now, or one of another size.  The queues, and the write
 * cache, are what was agreed upon.
 */
static int look_anew(struct blk_remote *blk, struct diag *diag)
{
	struct virtio_blk_config config = { 0 };
	int ret = blk->remote.dev.lost ? -EPIPE
	                               : vhost_user_get_config(&blk->vu, &config, CONFIG_SIZE);

	if (ret) {
		remote_lose(&blk->remote, ret);
		return diag_fail(
			diag, -ret, "%s: the back end: %s", blk->socket, vhost_user_strerror(ret));
	}
	config.num_queues = blk->config.num_queues;
	config.wce = blk->config.wce;
	blk->config = config;
	virtio_config_changed(&blk->remote.dev);
	return 0;
}

/* Of its options nothing can change, as the check of them says. */
static int blk_remote_update(
	struct virtio_dev *dev, const void *, const struct virtio_anew *anew, struct diag *diag)
{
	return anew ? look_anew((struct blk_remote *)dev, diag) : 0;
}

static void blk_remote_close(struct virtio_dev *dev)
{
	struct blk_remote *blk = (struct blk_remote *)dev;

	remote_fini(&blk->remote);
	free(blk->socket);
	free(blk);
}

static const struct virtio_class blk_remote_class = {
	.name = "disk",
	.id = VIRTIO_ID_BLOCK,
	.moves_data = true,
	.options = &blk_schema,
	.serve = blk_remote_serve_lost,
	.start = remote_start,
	.start_queue = remote_start_queue,
	.stop_queue = remote_stop_queue,
	.quiesce = remote_quiesce,
	.resume = remote_resume,
	.saving = remote_saving,
	.loaded = remote_loaded,
	.reset = blk_remote_reset,
	.write_config = blk_remote_write_config,
	.update = blk_remote_update,
	.close = blk_remote_close,
};

/* ---- its making ---- */

static int get_config(struct blk_remote *blk, unsigned int n_queues, struct diag *diag)
{
	struct vhost_user *vu = &blk->vu;
	int ret = -ENOTSUP;

	if (vu->protocol & VIRTIO_BIT(VHOST_USER_PROTOCOL_F_CONFIG))
		ret = vhost_user_get_config(vu, &blk->config, CONFIG_SIZE);
	if (ret) {
		vhost_user_close(vu);
		return diag_fail(diag, -ret, "the back end does not tell what disk it has: %s",
			ret == -ENOTSUP ? "it serves another kind of device"
					: vhost_user_strerror(ret));
	}
	blk->config.num_queues = (uint16_t)n_queues;
	blk->first_wce = blk->config.wce;
	blk->remote.dev.config = &blk->config;
	blk->remote.dev.config_size = CONFIG_SIZE;
	return 0;
}

static int connect_to(struct blk_remote *blk, const struct blk_options *options,
	const struct virtio_env *env, struct diag *diag)
{
	int fd = vhost_user_connect(options->vhost_user, diag), ret;

	if (fd < 0)
		return fd;
	ret = vhost_user_init(&blk->vu, fd, VHOST_USER_PATIENCE_MS, diag);
	if (!ret)
		ret = get_config(blk, options->n_queues, diag);
	if (ret)
		return ret;
	blk->remote.vhost = &blk->vu.vhost;
	blk->remote.name = blk->socket;
	return remote_init(&blk->remote, &blk_remote_class, env, FEATURES, options->n_queues,
		QUEUE_SIZE, diag);
}

struct virtio_dev *blk_remote_open(
	const struct blk_options *options, const struct virtio_env *env, struct diag *diag)
{
	struct blk_remote *blk = calloc(1, sizeof(*blk));
	struct diag why;
	int ret;

	if (!blk) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	blk->socket = strdup(options->vhost_user);
	ret = blk->socket ? connect_to(blk, options, env, &why)
	                  : diag_fail(&why, ENOMEM, "out of memory");
	if (!ret)
		return &blk->remote.dev;
	diag_fail(diag, -ret, "%s: %s", options->vhost_user, why.text);
	free(blk->socket);
	free(blk);
	return NULL;
}
