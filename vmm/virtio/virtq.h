/* SPDX-License-Identifier: MIT */
/* virtq.h - the device's side of a split virtqueue: the one place that walks rings
 *
 * Source: virtio 1.2, 2.7.  The rings and all that they lead to are the guest's, who may change
 * them at any time: each value is copied once, and the copy is checked.  A queue is guarded by its
 * device's lock.
 */
#ifndef VIRTIO_VIRTQ_H
#define VIRTIO_VIRTQ_H

#include "mem/guest_mem.h"

#include <linux/virtio_ring.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

/* Descriptors that are followed for one chain, but for the one that leads to an indirect table, and
 * so the segments it can have: IOV_MAX.
 */
#define VIRTQ_MAX_CHAIN 1024u

struct virtq {
	const struct guest_mem *mem;
	uint16_t max_size; /* a power of two */

	/* What the driver sets, while the queue is not enabled. */
	uint16_t size;
	gpa_t desc_at, avail_at, used_at;

	/* Constant while it is enabled. */
	bool enabled;
	bool event_idx; /* VIRTIO_F_EVENT_IDX was negotiated */
	const struct vring_desc *desc;
	struct vring_avail *avail;
	struct vring_used *used;

	uint16_t next_avail; /* the next entry to take */
	uint16_t next_used;  /* the next entry to fill */
	uint16_t signalled;  /* next_used when it was last looked whether to signal */
	bool must_signal;    /* whatever the guest says: it has never been asked */
};

/* One chain: first what the device reads, then what it writes. */
struct virtq_chain {
	struct iovec *iov; /* the caller's room */
	unsigned int max_iov;

	uint16_t head;
	unsigned int n_out, n_in; /* iov[0..n_out) is read, the n_in after that are written */
	uint64_t out_size, in_size;
};

void virtq_init(struct virtq *vq, const struct guest_mem *mem, uint16_t max_size);

/* As after virtq_init(). */
void virtq_reset(struct virtq *vq);

/* Take the rings into use as the driver has set them.  -EINVAL: a size that is no power of two or
 * too large, a ring that is not aligned (2.7) or not all within one piece of RAM.
 */
int virtq_enable(struct virtq *vq, bool event_idx);

/* Go on where another has left the queue, who served it and is gone: at the first chain that he has
 * not returned, as if he had returned them in order.
 */
void virtq_take_over(struct virtq *vq);

/* Take the next chain; `chain` has the caller's room for segments, which the chain's stay in after
 * the call.  Descriptors of no length are left out.  1; 0 if there is none or the queue is not
 * enabled; -EBADMSG if the ring or the chain breaks the rules, or has more segments than there is
 * room for: then the device needs a reset.  Never are more chains in flight, popped and not pushed,
 * than the queue has descriptors (vq->size).
 */
int virtq_pop(struct virtq *vq, struct virtq_chain *chain);

/* Give back the chain that was taken last: virtq_pop() will find it again. */
void virtq_unpop(struct virtq *vq);

/* Whether virtq_pop() would find something. */
bool virtq_is_pending(const struct virtq *vq);

/* Return the chain that begins with `head`, of which `written` bytes of its writable part were
 * filled, from the first on.
 */
void virtq_push(struct virtq *vq, uint16_t head, uint32_t written);

/* The same for several chains, of which the guest finds all or none. */
void virtq_push_all(struct virtq *vq, const struct vring_used_elem *elem, unsigned int n);

/* Whether the guest wants to be interrupted for what was pushed since this was last asked. */
bool virtq_needs_signal(struct virtq *vq);

/* Kicks are not wanted: we are looking. */
void virtq_hush(struct virtq *vq);

/* A kick is wanted for the next chain.  True if there is one already, for which none will come. */
bool virtq_listen(struct virtq *vq);

#endif
