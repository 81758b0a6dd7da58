// SPDX-License-Identifier: MIT
/* net_vhost.c - virtio-net whose frames the host's kernel moves */

#include "dev/net_vhost.h"

#include "dev/net_parts.h"
#include "host/remote.h"
#include "host/tap.h"
#include "host/vhost_net.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

struct net_vhost {
	struct remote remote; /* first */
	struct vhost_net vhost;
	struct virtio_net_config config;
	struct net_pairs pairs;
	struct net_state saved;
	char name[IFNAMSIZ + sizeof("net ")];
};

_Static_assert(VHOST_KERNEL_MAX >= NET_MAX_PAIRS, "a device for each pair");

/* ---- pairs ---- */

/* A tap is switched on before the kernel gets it, and off when it has let it go. */
static void use_pairs(struct net_vhost *net, unsigned int n)
{
	int ret;

	if (n > net->pairs.n_on)
		net_use_pairs(&net->pairs, n);
	ret = vhost_net_use(&net->vhost, n);
	net_use_pairs(&net->pairs, n);
	if (ret)
		remote_lose(&net->remote, ret);
}

static int serve_control(struct net_vhost *net, struct virtq *vq, const struct virtq_chain *chain)
{
	unsigned int n = net_read_command(&net->remote.dev, &net->pairs, chain);

	if (n)
		use_pairs(net, n);
	return net_answer_command(vq, chain, n && !net->remote.dev.lost);
}

/* When the tap is gone what is sent is lost, and nothing comes. */
static int serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct net_vhost *net = (struct net_vhost *)dev;
	unsigned int index = virtio_index(vq);

	if (index >= dev->n_elsewhere)
		return serve_control(net, vq, chain);
	if (index % 2 == RX)
		return -EAGAIN;
	virtq_push(vq, chain->head, 0);
	return 0;
}

/* ---- the class ---- */

static int start(struct virtio_dev *dev)
{
	net_set_features(&((struct net_vhost *)dev)->pairs, dev->features);
	return remote_start(dev);
}

/* The rings have been stopped. */
static void reset(struct virtio_dev *dev)
{
	struct net_vhost *net = (struct net_vhost *)dev;

	net_set_features(&net->pairs, 0);
	if (!dev->lost)
		use_pairs(net, 1);
}

/* The link's state is read when the device says that it needs a reset. */
static bool explain(struct remote *remote, struct diag *diag)
{
	struct net_vhost *net = (struct net_vhost *)remote;

	net->config.status = 0;
	if (if_nametoindex(tap_name(net->pairs.link)))
		return false;
	diag_fail(
		diag, ENODEV, "the interface is gone from the host, and the guest's link is down");
	return true;
}

static void close_net(struct virtio_dev *dev)
{
	struct net_vhost *net = (struct net_vhost *)dev;

	remote_fini(&net->remote);
	link_close(net->pairs.link);
	free(net);
}

static int saving(struct virtio_dev *dev, struct diag *diag)
{
	struct net_vhost *net = (struct net_vhost *)dev;

	net->saved = net_state_of(&net->pairs, &net->config);
	return remote_saving(dev, diag);
}

static int loaded(struct virtio_dev *dev, struct diag *diag)
{
	struct net_vhost *net = (struct net_vhost *)dev;
	int ret = 0;

	if (dev->status & VIRTIO_CONFIG_S_DRIVER)
		ret = net_load(&net->pairs, &net->config, &net->saved, diag);
	if (!ret && dev->status & VIRTIO_CONFIG_S_DRIVER_OK)
		ret = vhost_net_use(&net->vhost, net->pairs.n_on);
	return ret ? ret : remote_loaded(dev, diag);
}

static const struct state_field fields[] = { NET_STATE_FIELDS(struct net_vhost), STATE_END };
static const struct state_table state = { "net", 1, fields };

static const struct virtio_class net_vhost_class = {
	.name = "net",
	.id = VIRTIO_ID_NET,
	.moves_data = true,
	.options = &net_schema,
	.serve = serve,
	.start = start,
	.start_queue = remote_start_queue,
	.stop_queue = remote_stop_queue,
	.quiesce = remote_quiesce,
	.resume = remote_resume,
	.state = &state,
	.saving = saving,
	.loaded = loaded,
	.reset = reset,
	.close = close_net,
};

/* ---- its making ---- */

static int open_vhost(struct net_vhost *net, struct diag *diag)
{
	int tap[NET_MAX_PAIRS];
	unsigned int n = 0;

	for (struct link *link = net->pairs.link; link; link = link->next)
		tap[n++] = link->fd;
	return vhost_net_open(&net->vhost, tap, n, diag);
}

struct virtio_dev *net_vhost_create(struct link *link, const struct net_options *options,
	const uint8_t mac[6], const struct virtio_env *env, struct diag *diag)
{
	struct net_vhost *net = calloc(1, sizeof(*net));
	struct virtio_dev *dev;
	int ret;

	if (!net) {
		diag_fail(diag, ENOMEM, "out of memory");
		link_close(link);
		return NULL;
	}
	dev = &net->remote.dev;
	net->pairs = net_pairs_of(link, options);
	net->config = net_config_of(&net->pairs, options, mac);
	dev->config = &net->config;
	dev->config_size = NET_CONFIG_SIZE;
	snprintf(net->name, sizeof(net->name), "net %s", tap_name(link));
	net->remote.name = net->name;
	net->remote.explain = explain;
	net->remote.n_own = net_n_queues(&net->pairs) - 2 * net->pairs.n;
	net->remote.vhost = &net->vhost.kernel.vhost;
	ret = open_vhost(net, diag);
	if (!ret)
		ret = remote_init(&net->remote, &net_vhost_class, env,
			VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF), net_n_queues(&net->pairs),
			NET_QUEUE_SIZE, diag);
	if (ret) {
		link_close(link);
		free(net);
		return NULL;
	}
	dev->offered |= net_features_of(&net->pairs); /* the tap's, and our own */
	return dev;
}
