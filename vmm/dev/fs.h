/* SPDX-License-Identifier: MIT */
/* fs.h - virtio-fs: a directory of the host
 *
 * Source: virtio 1.2, 5.11.  What the guest asks for is FUSE's, and is answered by virtiofsd, or by
 * whoever serves the socket that was named.
 */
#ifndef DEV_FS_H
#define DEV_FS_H

#include "util/schema.h"
#include "virtio/virtio.h"

struct fs_options {
	char *dir;
	char *tag;        /* what the guest mounts it by */
	char *vhost_user; /* in place of dir: the socket of who serves it; or NULL */
	bool read_only;
};

extern const struct schema fs_schema; /* of a struct fs_options */
extern const struct virtio_class fs_class;

#endif
