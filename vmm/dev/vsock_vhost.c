// SPDX-License-Identifier: MIT
/* vsock_vhost.c - virtio-vsock whose streams the host's kernel has */

#include "dev/vsock_vhost.h"

#include "dev/vsock_parts.h"
#include "host/remote.h"
#include "host/vhost_vsock.h"

#include <errno.h>
#include <linux/virtio_vsock.h>
#include <stdlib.h>

#define N_OWN      1
#define QUEUE_SIZE 256

struct vsock_vhost {
	struct remote remote; /* first */
	struct vhost_vsock vhost;
	struct virtio_vsock_config config;
	bool owes_reset; /* as vsock.c's */
};

/* Without the kernel nothing goes, and nothing comes. */
static int serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	if (virtio_index(vq) == QUEUE_EVENT)
		return vsock_serve_event(&((struct vsock_vhost *)dev)->owes_reset, vq, chain);
	if (virtio_index(vq) == QUEUE_RX)
		return -EAGAIN;
	virtq_push(vq, chain->head, 0);
	return 0;
}

static int loaded(struct virtio_dev *dev, struct diag *diag)
{
	((struct vsock_vhost *)dev)->owes_reset = true;
	return remote_loaded(dev, diag);
}

static void reset(struct virtio_dev *dev)
{
	((struct vsock_vhost *)dev)->owes_reset = false;
}

static void close_vsock(struct virtio_dev *dev)
{
	remote_fini((struct remote *)dev);
	free(dev);
}

static const struct virtio_class vsock_vhost_class = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.moves_data = true,
	.options = &vsock_schema,
	.serve = serve,
	.start = remote_start,
	.start_queue = remote_start_queue,
	.stop_queue = remote_stop_queue,
	.quiesce = remote_quiesce,
	.resume = remote_resume,
	.reset = reset,
	.saving = remote_saving,
	.loaded = loaded,
	.close = close_vsock,
};

struct virtio_dev *vsock_vhost_open(
	const struct vsock_options *options, const struct virtio_env *env, struct diag *diag)
{
	struct vsock_vhost *vsock = calloc(1, sizeof(*vsock));
	int ret;

	if (!vsock) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	vsock->config.guest_cid = options->cid;
	vsock->remote.dev.config = &vsock->config;
	vsock->remote.dev.config_size = sizeof(vsock->config);
	vsock->remote.name = "vsock";
	vsock->remote.n_own = N_OWN;
	vsock->remote.vhost = &vsock->vhost.kernel.vhost;
	ret = vhost_vsock_open(&vsock->vhost, options->cid, diag);
	if (!ret)
		ret = remote_init(&vsock->remote, &vsock_vhost_class, env,
			VIRTIO_BIT(VIRTIO_VSOCK_F_SEQPACKET), N_QUEUES, QUEUE_SIZE, diag);
	if (!ret)
		return &vsock->remote.dev;
	free(vsock);
	return NULL;
}
