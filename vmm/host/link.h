/* SPDX-License-Identifier: MIT */
/* link.h - where a guest's frames go, and where those for it come from
 *
 * A frame lies in memory with a header before it, LINK_HEADER bytes: struct virtio_net_hdr_v1
 * (virtio 1.2, 5.1.6), which tells what of its checksum and its segments is left to do.  A link
 * that knows nothing of these offers no features, ignores the header of what it sends, and writes
 * an empty one before what it receives; num_buffers is never its business.
 *
 * A link belongs to one loop's thread, but for set_features(), and whoever calls it excludes the
 * others.  No call waits.
 */
#ifndef HOST_LINK_H
#define HOST_LINK_H

#include "util/diag.h"

#include <linux/virtio_net.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#define LINK_HEADER ((uint32_t)sizeof(struct virtio_net_hdr_v1))

/* Of a frame without its header: an Ethernet header at least; at most one more, a VLAN's tag, and
 * 65535 bytes.
 */
#define LINK_MIN_FRAME 14u
#define LINK_MAX_FRAME (14u + 4u + 65535u)

struct link;

struct link_ops {
	/* Send one frame.  0; 1: it is begun, and flush() wants to be called when `fd` is writable;
	 * -EAGAIN: not now, but then; else it is lost: -errno.  What the segments say may be
	 * changed, and iov[n] be used.
	 */
	int (*send)(struct link *link, struct iovec *iov, unsigned int n);

	/* 0; -EAGAIN: not all; -errno: nothing goes any more.  NULL: no frame is ever begun and not
	 * sent.
	 */
	int (*flush)(struct link *link);

	/* The next frame, into `iov`, which has `room` bytes; iov[n] may be used.  Its size, the
	 * header's too; -EAGAIN: none, `fd` becomes readable; -ENOBUFS: it is longer, and will be
	 * there the next time; -EMSGSIZE: it was longer, and is lost (so always if `is_all`);
	 * -EPIPE: there will be none any more.
	 */
	ssize_t (*receive)(
		struct link *link, struct iovec *iov, unsigned int n, size_t room, bool is_all);

	/* What the guest's driver took of the features: VIRTIO_NET_F_*, a bit each.  Any thread. */
	void (*set_features)(struct link *link, uint64_t features);

	/* This of several queues is to have its part of the frames, or none; then `fd` is not to be
	 * used.  NULL: there never are several.
	 */
	void (*switch_queue)(struct link *link, bool on);

	/* `end_fd` is readable, or frames no longer go: why, asked once. */
	void (*explain_end)(struct link *link, struct diag *diag);

	/* Give all back, of this queue alone. */
	void (*close)(struct link *link);
};

struct link {
	const struct link_ops *ops;
	int fd;            /* non-blocking; to be watched edge-triggered */
	int end_fd;        /* readable when the link has ended; -1: `fd` tells that */
	uint64_t features; /* VIRTIO_NET_F_* that it can serve, a bit each */
	uint16_t mtu;      /* of Ethernet's payload */
	uint32_t room;     /* that receive() needs lest it lose a frame; 0: it never does */
	struct link *next; /* the next of its queues, each a struct of its own; NULL: the last */
};

/* All of its queues. */
static inline void link_close(struct link *link)
{
	for (struct link *next; link; link = next) {
		next = link->next;
		link->ops->close(link);
	}
}

#endif
