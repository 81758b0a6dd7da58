/* SPDX-License-Identifier: MIT */
/* net_vhost.h - virtio-net whose frames the host's kernel moves (vhost), to and from a tap */
#ifndef DEV_NET_VHOST_H
#define DEV_NET_VHOST_H

#include "dev/net.h"

/* As net_create(); the link is a tap. */
struct virtio_dev *net_vhost_create(struct link *link, const struct net_options *options,
	const uint8_t mac[6], const struct virtio_env *env, struct diag *diag);

#endif
