/* SPDX-License-Identifier: MIT */
/* blk.h - virtio-blk: a disk
 *
 * Source: virtio 1.2, 5.2.  What is on the host's side of it is host/disk.h.
 */
#ifndef DEV_BLK_H
#define DEV_BLK_H

#include "host/disk.h"
#include "util/rate.h"
#include "util/schema.h"
#include "virtio/virtio.h"

#include <linux/virtio_blk.h>

struct blk_options {
	char *path;
	char *vhost_user; /* in its place: the socket of who serves the disk; or NULL */
	char *serial;     /* or NULL */
	char *overlay_path;
	bool read_only;
	bool direct;
	/* No option of the operator's: the file may be empty, for it is exchanged later. */
	bool may_be_empty;
	enum disk_overlay overlay;
	enum disk_engine engine;
	uint32_t n_queues;
	struct rate_limit rate; /* of bytes */
	struct rate_limit ops;  /* of requests */
};

extern const struct schema blk_schema; /* of a struct blk_options */
extern const struct virtio_class blk_class;

/* A guest that looks for a disk by its serial finds one.  -EINVAL and diag. */
int blk_check_serials(const struct setting_list *list, struct diag *diag);

#endif
