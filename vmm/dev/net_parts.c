// SPDX-License-Identifier: MIT
/* net_parts.c - what a virtio-net is, whoever moves its frames */

#include "dev/net_parts.h"

#include "util/iov.h"

#include <errno.h>
#include <string.h>

void net_use_pairs(struct net_pairs *pairs, unsigned int n)
{
	struct link *link = pairs->link;

	for (unsigned int i = 0; i < pairs->n; i++, link = link->next)
		if ((i < n) != (i < pairs->n_on))
			link->ops->switch_queue(link, i < n);
	pairs->n_on = n;
}

struct net_pairs net_pairs_of(struct link *link, const struct net_options *options)
{
	struct net_pairs pairs = { .link = link, .has_mac = options->mac };

	for (; link; link = link->next)
		pairs.n++;
	pairs.n_on = pairs.n;
	net_use_pairs(&pairs, 1);
	return pairs;
}

struct virtio_net_config net_config_of(
	const struct net_pairs *pairs, const struct net_options *options, const uint8_t mac[6])
{
	struct virtio_net_config config = {
		.status = VIRTIO_NET_S_LINK_UP,
		.max_virtqueue_pairs = (uint16_t)pairs->n,
		.mtu = options->mtu ? (uint16_t)options->mtu : pairs->link->mtu,
	};

	memcpy(config.mac, mac, sizeof(config.mac));
	return config;
}

uint64_t net_features_of(const struct net_pairs *pairs)
{
	uint64_t features = pairs->link->features | VIRTIO_BIT(VIRTIO_NET_F_MTU) |
	                    VIRTIO_BIT(VIRTIO_NET_F_MAC) | VIRTIO_BIT(VIRTIO_NET_F_STATUS);

	if (pairs->n > 1)
		features |= VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ) | VIRTIO_BIT(VIRTIO_NET_F_MQ);
	return features;
}

void net_set_features(const struct net_pairs *pairs, uint64_t features)
{
	for (struct link *link = pairs->link; link; link = link->next)
		link->ops->set_features(link, features);
}

/* ---- the control queue ---- */

struct command {
	struct virtio_net_ctrl_hdr head;
	struct virtio_net_ctrl_mq mq; /* little-endian, as we are */
} __attribute__((packed));

unsigned int net_read_command(const struct virtio_dev *dev, const struct net_pairs *pairs,
	const struct virtq_chain *chain)
{
	struct command command = { 0 };
	size_t size = iov_read(chain->iov, chain->n_out, &command, sizeof(command));
	unsigned int n = command.mq.virtqueue_pairs;

	if (size < sizeof(command) || !virtio_has_feature(dev, VIRTIO_NET_F_MQ) ||
		command.head.class != VIRTIO_NET_CTRL_MQ ||
		command.head.cmd != VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET)
		return 0;
	return n <= pairs->n ? n : 0;
}

int net_answer_command(struct virtq *vq, const struct virtq_chain *chain, bool ok)
{
	virtio_net_ctrl_ack ack = ok ? VIRTIO_NET_OK : VIRTIO_NET_ERR;

	if (!chain->in_size)
		return -EBADMSG;
	iov_write(chain->iov + chain->n_out, chain->n_in, &ack, sizeof(ack));
	virtq_push(vq, chain->head, sizeof(ack));
	return 0;
}

void net_explain_end(const struct virtio_dev *dev, struct link *link)
{
	struct diag diag;

	link->ops->explain_end(link, &diag);
	log_error("net: %s; the guest's link is down", diag.text);
	virtio_tell_failure(dev, diag.text);
}

/* ---- a copy of it ---- */

struct net_state net_state_of(const struct net_pairs *pairs, const struct virtio_net_config *config)
{
	struct net_state state = { .n_on = pairs->n_on };

	memcpy(state.mac, config->mac, sizeof(state.mac));
	return state;
}

int net_load(struct net_pairs *pairs, struct virtio_net_config *config,
	const struct net_state *state, struct diag *diag)
{
	if (!state->n_on || state->n_on > pairs->n)
		return diag_fail(diag, EBADMSG, "it has %u pairs of queues, and used %u", pairs->n,
			state->n_on);
	if (!pairs->has_mac)
		memcpy(config->mac, state->mac, sizeof(config->mac));
	net_use_pairs(pairs, state->n_on);
	return 0;
}
