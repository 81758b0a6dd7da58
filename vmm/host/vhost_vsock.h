/* SPDX-License-Identifier: MIT */
/* vhost_vsock.h - the host's kernel serves a virtio-vsock, whose guest has a number on this host */
#ifndef HOST_VHOST_VSOCK_H
#define HOST_VHOST_VSOCK_H

#include "host/vhost_kernel.h"

struct vhost_vsock {
	struct vhost_kernel kernel; /* first */
	unsigned int ready;         /* rings that are set up, a bit each */
};

/* Open it for the guest `cid`, which no other has while it is open.  As vhost_kernel_init(). */
int vhost_vsock_open(struct vhost_vsock *vsock, uint32_t cid, struct diag *diag);

#endif
