/* SPDX-License-Identifier: MIT */
/* net_rx.h - buffers of a virtio-net's guest that wait for frames
 *
 * With the device's lock held.
 */
#ifndef DEV_NET_RX_H
#define DEV_NET_RX_H

#include "dev/net_parts.h"

#include <limits.h>

/* A chain that was taken and not yet filled. */
struct net_rx_chain {
	uint16_t head;
	uint16_t n_iov;
	uint32_t size;
};

/* Those of them, the oldest first: a long frame may take several (VIRTIO_NET_F_MRG_RXBUF). */
struct net_rx {
	struct iovec iov[IOV_MAX]; /* the last is the link's */
	struct net_rx_chain chain[NET_QUEUE_SIZE];
	struct vring_used_elem used[NET_QUEUE_SIZE]; /* of one frame */
	unsigned int n_iov, n_chains;
	uint64_t size;
	uint64_t unsignalled; /* bytes */
};

/* The chain is copied behind the others; of one alone that has too many segments, the first. */
void net_rx_add(struct net_rx *rx, const struct virtq_chain *chain);

/* Take the last away again, or the first n, which were filled. */
void net_rx_drop_last(struct net_rx *rx);
void net_rx_drop_first(struct net_rx *rx, unsigned int n);

/* 5.1.6.4.1: how many chains there are of it is the frame's own first word to the guest. */
void net_rx_write_count(const struct net_rx *rx, uint16_t n);

#endif
