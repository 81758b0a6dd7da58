/* SPDX-License-Identifier: MIT */
/* vhost_net.h - the host's kernel moves frames between a virtio-net and a tap
 *
 * A pair of queues is a device of the kernel's, with a queue of the tap.
 */
#ifndef HOST_VHOST_NET_H
#define HOST_VHOST_NET_H

#include "host/vhost_kernel.h"

struct vhost_net {
	struct vhost_kernel kernel; /* first */
	int tap[VHOST_KERNEL_MAX];  /* not owned */
	uint64_t ready;             /* rings that are set up, a bit each */
	unsigned int n_on;          /* pairs that are in use, the first */
};

/* Open it for n pairs, whose taps are `tap`.  As vhost_kernel_init(). */
int vhost_net_open(struct vhost_net *net, const int *tap, unsigned int n, struct diag *diag);

/* Let the first n pairs run and the others be.  A tap is switched on before that, and off after.
 * 0 or -errno: then it is closed.
 */
int vhost_net_use(struct vhost_net *net, unsigned int n);

#endif
