/* SPDX-License-Identifier: MIT */
/* net.h - virtio-net: Ethernet frames between the guest and a link of the host
 *
 * Source: virtio 1.2, 5.1.  What is offered of checksums and segments is what the link can do
 * (host/link.h), and what the link does is what the driver took.
 */
#ifndef DEV_NET_H
#define DEV_NET_H

#include "dev/net_mmds.h"
#include "host/link.h"
#include "util/rate.h"
#include "util/schema.h"
#include "virtio/virtio.h"

#define NET_NO_FD     UINT32_MAX
#define NET_MAX_PAIRS ((VIRTIO_MAX_QUEUES - 1) / 2) /* of queues; one is for control */

struct net_options {
	char *tap;                   /* name of an interface, or NULL */
	uint32_t fd;                 /* of one, or NET_NO_FD */
	bool user;                   /* by passt */
	char *hostfwd;               /* its forwards, or NULL */
	bool host;                   /* whether the guest reaches the host's loopback through it */
	bool vhost;                  /* the host's kernel moves the frames */
	uint32_t n_pairs;            /* of queues */
	char *mac;                   /* NULL: derived, see docs/network.md */
	uint32_t mtu;                /* 0: as the link has it */
	struct rate_limit rate, ops; /* of bytes, and of frames, each way */
	/* The same of one way, to the guest (rx) or from it: in place of those, if they limit. */
	struct rate_limit rx_rate, tx_rate, rx_ops, tx_ops;
	/* No option of the operator's; NULL: no metadata service is reached through it. */
	const struct net_mmds_options *mmds;
};

extern const struct schema net_schema;
extern const struct virtio_class net_class;

/* Whether any of its rates is. */
bool net_is_limited(const struct net_options *options);

/* The class's. */
struct virtio_dev *net_open(const void *options, const struct virtio_env *env, struct diag *diag);

/* What open() does once there is a link, which is taken over, also when it fails.  NULL and diag.
 */
struct virtio_dev *net_create(struct link *link, const struct net_options *options,
	const uint8_t mac[6], const struct virtio_env *env, struct diag *diag);

/* Frames that were lost here, from the guest and for it. */
uint64_t net_dropped_tx(const struct virtio_dev *dev);
uint64_t net_dropped_rx(const struct virtio_dev *dev);

#endif
