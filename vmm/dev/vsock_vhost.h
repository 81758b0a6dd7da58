/* SPDX-License-Identifier: MIT */
/* vsock_vhost.h - virtio-vsock whose streams the host's kernel has: AF_VSOCK at both ends */
#ifndef DEV_VSOCK_VHOST_H
#define DEV_VSOCK_VHOST_H

#include "dev/vsock.h"

/* The class's open() for options without a path. */
struct virtio_dev *vsock_vhost_open(
	const struct vsock_options *options, const struct virtio_env *env, struct diag *diag);

#endif
