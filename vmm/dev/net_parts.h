/* SPDX-License-Identifier: MIT */
/* net_parts.h - what a virtio-net is, whoever moves its frames
 *
 * Source: virtio 1.2, 5.1.  Queues come in pairs, of which the first is in use to begin with; with
 * more than one there is a control queue behind them, by which the driver says how many it takes.
 */
#ifndef DEV_NET_PARTS_H
#define DEV_NET_PARTS_H

#include "dev/net.h"

#define NET_QUEUE_SIZE 256

/* The part that is told. */
#define NET_CONFIG_SIZE offsetof(struct virtio_net_config, speed)

enum { RX, TX }; /* of a pair, in this order */

struct net_pairs {
	struct link *link; /* and its queues, one a pair */
	unsigned int n;
	unsigned int n_on; /* that the driver has in use, the first; the others' link is off */
	bool has_mac;      /* the settings say the address */
};

/* All of a link's queues; the first is switched on. */
struct net_pairs net_pairs_of(struct link *link, const struct net_options *options);

static inline unsigned int net_n_queues(const struct net_pairs *pairs)
{
	return 2 * pairs->n + (pairs->n > 1);
}

struct virtio_net_config net_config_of(
	const struct net_pairs *pairs, const struct net_options *options, const uint8_t mac[6]);

/* What is offered, but for what has to do with buffers. */
uint64_t net_features_of(const struct net_pairs *pairs);

/* What the driver took of the features. */
void net_set_features(const struct net_pairs *pairs, uint64_t features);

/* So many are in use, 1 at least. */
void net_use_pairs(struct net_pairs *pairs, unsigned int n);

/* A command (5.1.6.5): how many pairs the driver wants, of pairs->n; 0: it is refused. */
unsigned int net_read_command(const struct virtio_dev *dev, const struct net_pairs *pairs,
	const struct virtq_chain *chain);
/* And its answer, as a class's serve(). */
int net_answer_command(struct virtq *vq, const struct virtq_chain *chain, bool ok);

/* The link of this device has ended: say why, in the log and to the machine's operator. */
void net_explain_end(const struct virtio_dev *dev, struct link *link);

/* What a copy of the machine begins with: the address that the driver has read, unless the settings
 * say another, which it finds when it looks anew; and the pairs that it uses.
 */
struct net_state {
	uint8_t mac[6];
	uint32_t n_on;
};

/* In a struct that has it as `saved`. */
#define NET_STATE_FIELDS(type) STATE_ARRAY(type, saved.mac, 1), STATE_FIELD(type, saved.n_on, 1)

struct net_state net_state_of(
	const struct net_pairs *pairs, const struct virtio_net_config *config);
/* -EBADMSG and diag. */
int net_load(struct net_pairs *pairs, struct virtio_net_config *config,
	const struct net_state *state, struct diag *diag);

#endif
