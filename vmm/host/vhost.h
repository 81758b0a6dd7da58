/* SPDX-License-Identifier: MIT */
/* vhost.h - have somebody else serve a virtio device's queues: another process, or the host's
 * kernel
 *
 * The back end gets guest RAM, the places of the rings and an eventfd for each direction; after
 * that guest and back end meet in memory, and what is here is for beginning and end.  How it is
 * told is its ops' business: by messages (vhost_user.h), or by ioctls (vhost_kernel.h).
 */
#ifndef HOST_VHOST_H
#define HOST_VHOST_H

#include "mem/guest_mem.h"

#include <stdbool.h>
#include <stdint.h>

/* A virtqueue's rings, at our addresses, and its eventfds, which stay ours. */
struct vhost_ring {
	unsigned int index;
	uint16_t size;
	const void *desc, *avail, *used;
	uint32_t base; /* where it goes on: 0, or what stop_ring() has given */
	int kick_fd;   /* the guest to the back end */
	int call_fd;   /* and back */
};

struct vhost;

/* 0 or -errno, after which the back end is closed. */
struct vhost_ops {
	/* Begin with these features of virtio, on this memory, the same one at each call. */
	int (*start)(struct vhost *vhost, uint64_t features, const struct guest_mem *mem);
	int (*start_ring)(struct vhost *vhost, const struct vhost_ring *ring);
	/* Until the back end no longer touches the ring and what is in it.  NULL, or where it is to
	 * go on.
	 */
	int (*stop_ring)(struct vhost *vhost, unsigned int index, uint32_t *base);
	/* `fd` was found readable while nothing is asked: 0 if all is well; -EBADMSG, not closed:
	 * the guest's rings are not as they should be; else it has gone.
	 */
	int (*check)(struct vhost *vhost);
	void (*close)(struct vhost *vhost); /* also when it is closed */
	/* The sentence for what failed: "it has closed its connection". */
	const char *(*strerror)(int ret);
};

struct vhost {
	const struct vhost_ops *ops;
	int fd;                  /* to be watched; -1: closed */
	uint64_t features;       /* of virtio, that the back end offers */
	unsigned int max_queues; /* that it serves; UINT_MAX if it does not say */
};

#endif
