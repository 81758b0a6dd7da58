/* SPDX-License-Identifier: MIT */
/* blk_remote.h - virtio-blk whose data another process has: --disk vhost-user=SOCKET
 *
 * Source: virtio 1.2, 5.2.  The configuration space is the back end's, such as
 * qemu-storage-daemon(1)'s.
 */
#ifndef DEV_BLK_REMOTE_H
#define DEV_BLK_REMOTE_H

#include "dev/blk.h"

/* As struct virtio_class says of open(). */
struct virtio_dev *blk_remote_open(
	const struct blk_options *options, const struct virtio_env *env, struct diag *diag);

#endif
