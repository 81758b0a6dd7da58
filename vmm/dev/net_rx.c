// SPDX-License-Identifier: MIT
/* net_rx.c - buffers of a virtio-net's guest that wait for frames */

#include "dev/net_rx.h"

#include "util/iov.h"

#include <string.h>

void net_rx_add(struct net_rx *rx, const struct virtq_chain *chain)
{
	const struct iovec *in = chain->iov + chain->n_out;
	struct net_rx_chain *to = &rx->chain[rx->n_chains++];

	*to = (struct net_rx_chain){ .head = chain->head };
	for (unsigned int i = 0; i < chain->n_in && rx->n_iov < IOV_MAX - 1; i++) {
		if (in[i].iov_len > UINT32_MAX - to->size) /* more than any frame needs */
			break;
		rx->iov[rx->n_iov++] = in[i];
		to->n_iov++;
		to->size += (uint32_t)in[i].iov_len;
	}
	rx->size += to->size;
}

void net_rx_drop_last(struct net_rx *rx)
{
	const struct net_rx_chain *last = &rx->chain[--rx->n_chains];

	rx->n_iov -= last->n_iov;
	rx->size -= last->size;
}

void net_rx_drop_first(struct net_rx *rx, unsigned int n)
{
	unsigned int n_iov = 0;

	for (unsigned int i = 0; i < n; i++) {
		n_iov += rx->chain[i].n_iov;
		rx->size -= rx->chain[i].size;
	}
	rx->n_chains -= n;
	rx->n_iov -= n_iov;
	memmove(rx->chain, rx->chain + n, rx->n_chains * sizeof(*rx->chain));
	memmove(rx->iov, rx->iov + n_iov, rx->n_iov * sizeof(*rx->iov));
}

void net_rx_write_count(const struct net_rx *rx, uint16_t n)
{
	iov_write_at(rx->iov, rx->n_iov, offsetof(struct virtio_net_hdr_v1, num_buffers), &n,
		sizeof(n)); /* little-endian, as we are */
}
