// SPDX-License-Identifier: MIT
/* virtq.c - the device's side of a split virtqueue */

#include "virtio/virtq.h"

#include <errno.h>
#include <string.h>

void virtq_init(struct virtq *vq, const struct guest_mem *mem, uint16_t max_size)
{
	BUG_ON(!is_power_of_2(max_size));
	*vq = (struct virtq){ .mem = mem, .max_size = max_size, .size = max_size };
}

void virtq_reset(struct virtq *vq)
{
	virtq_init(vq, vq->mem, vq->max_size);
}

/* ---- memory that the guest writes meanwhile ---- */

static uint16_t load(const uint16_t *at)
{
	return __atomic_load_n(at, __ATOMIC_ACQUIRE);
}

static void store(uint16_t *at, uint16_t value)
{
	__atomic_store_n(at, value, __ATOMIC_RELEASE);
}

/* What we wrote is seen before what we read next is read. */
static void full_barrier(void)
{
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/* Behind the entries of either ring: where the driver says when to signal, and we when to kick. */
static const uint16_t *used_event(const struct virtq *vq)
{
	return &vq->avail->ring[vq->size];
}

static uint16_t *avail_event(const struct virtq *vq)
{
	return (uint16_t *)&vq->used->ring[vq->size];
}

/* ---- set-up ---- */

static void *ring_at(const struct virtq *vq, gpa_t gpa, uint64_t size, unsigned int align)
{
	return gpa % align ? NULL : guest_mem_at(vq->mem, gpa, size);
}

int virtq_enable(struct virtq *vq, bool event_idx)
{
	uint64_t n = vq->size;

	if (!is_power_of_2(n) || n > vq->max_size)
		return -EINVAL;
	vq->desc = ring_at(vq, vq->desc_at, n * sizeof(struct vring_desc), VRING_DESC_ALIGN_SIZE);
	vq->avail = ring_at(vq, vq->avail_at,
		sizeof(struct vring_avail) + (n + 1) * sizeof(uint16_t), VRING_AVAIL_ALIGN_SIZE);
	vq->used = ring_at(vq, vq->used_at,
		sizeof(struct vring_used) + n * sizeof(struct vring_used_elem) + sizeof(uint16_t),
		VRING_USED_ALIGN_SIZE);
	if (!vq->desc || !vq->avail || !vq->used)
		return -EINVAL;
	vq->event_idx = event_idx;
	vq->must_signal = true;
	vq->enabled = true;
	return 0;
}

void virtq_take_over(struct virtq *vq)
{
	if (!vq->enabled)
		return;
	vq->next_used = load(&vq->used->idx);
	vq->next_avail = vq->signalled = vq->next_used;
	vq->must_signal = true;
}

/* ---- taking a chain ---- */

/* A table of descriptors: the queue's own, or an indirect one, which need not be aligned. */
struct table {
	const uint8_t *at;
	uint32_t n;
	bool indirect;
};

/* A copy that the compiler does not read anew: memory may have changed, it is told. */
static struct vring_desc copy_desc(const struct table *table, uint32_t i)
{
	struct vring_desc desc;

	memcpy(&desc, table->at + (uint64_t)i * sizeof(desc), sizeof(desc));
	__asm__ volatile("" ::: "memory");
	return desc;
}

static int add_segment(
	const struct virtq *vq, struct virtq_chain *chain, const struct vring_desc *desc)
{
	bool is_in = desc->flags & VRING_DESC_F_WRITE;
	unsigned int n = chain->n_out + chain->n_in;
	void *hva;

	if (!is_in && chain->n_in)
		return -EBADMSG;
	if (!desc->len)
		return 0;
	hva = guest_mem_at(vq->mem, desc->addr, desc->len);
	if (!hva || n == chain->max_iov)
		return -EBADMSG;
	chain->iov[n] = (struct iovec){ hva, desc->len };
	if (is_in) {
		chain->n_in++;
		chain->in_size += desc->len;
	} else {
		chain->n_out++;
		chain->out_size += desc->len;
	}
	return 0;
}

/* 2.7.5.3: the last of a chain, and not within another. */
static int enter_indirect(
	const struct virtq *vq, struct table *table, const struct vring_desc *desc)
{
	if (table->indirect || desc->flags & VRING_DESC_F_NEXT || !desc->len ||
		desc->len % sizeof(*desc))
		return -EBADMSG;
	table->at = guest_mem_at(vq->mem, desc->addr, desc->len);
	table->n = desc->len / (uint32_t)sizeof(*desc);
	table->indirect = true;
	return table->at ? 0 : -EBADMSG;
}

static int walk(const struct virtq *vq, struct virtq_chain *chain)
{
	struct table table = { (const uint8_t *)vq->desc, vq->size, false };
	uint32_t next = chain->head;
	int ret;

	/* One more may be what leads to a table. */
	for (unsigned int step = 0; step <= VIRTQ_MAX_CHAIN; step++) {
		struct vring_desc desc;

		if (next >= table.n)
			return -EBADMSG;
		desc = copy_desc(&table, next);
		if (desc.flags & VRING_DESC_F_INDIRECT) {
			ret = enter_indirect(vq, &table, &desc);
			next = 0;
		} else {
			ret = add_segment(vq, chain, &desc);
			next = desc.next;
		}
		if (ret)
			return ret;
		if (!(desc.flags & (VRING_DESC_F_NEXT | VRING_DESC_F_INDIRECT)))
			return 0;
	}
	return -EBADMSG;
}

static uint16_t n_pending(const struct virtq *vq)
{
	return (uint16_t)(load(&vq->avail->idx) - vq->next_avail);
}

bool virtq_is_pending(const struct virtq *vq)
{
	return vq->enabled && n_pending(vq);
}

int virtq_pop(struct virtq *vq, struct virtq_chain *chain)
{
	uint16_t n_in_flight = (uint16_t)(vq->next_avail - vq->next_used);
	uint16_t n = vq->enabled ? n_pending(vq) : 0;
	int ret;

	if (!n)
		return 0;
	/* Each chain, waiting or in flight, has a descriptor of its own. */
	if ((uint32_t)n_in_flight + n > vq->size)
		return -EBADMSG;
	chain->head = load(&vq->avail->ring[vq->next_avail & (vq->size - 1)]);
	chain->n_out = chain->n_in = 0;
	chain->out_size = chain->in_size = 0;
	ret = walk(vq, chain);
	if (ret)
		return ret;
	vq->next_avail++;
	return 1;
}

void virtq_unpop(struct virtq *vq)
{
	vq->next_avail--;
}

/* ---- giving it back ---- */

void virtq_push_all(struct virtq *vq, const struct vring_used_elem *elem, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		vq->used->ring[vq->next_used++ & (vq->size - 1)] = elem[i];
	store(&vq->used->idx, vq->next_used);
}

void virtq_push(struct virtq *vq, uint16_t head, uint32_t written)
{
	const struct vring_used_elem elem = { .id = head, .len = written };

	virtq_push_all(vq, &elem, 1);
}

bool virtq_needs_signal(struct virtq *vq)
{
	uint16_t old = vq->signalled;
	bool must = vq->must_signal;

	if (vq->next_used == old)
		return false;
	vq->signalled = vq->next_used;
	vq->must_signal = false;
	full_barrier();
	if (!vq->event_idx)
		return !(load(&vq->avail->flags) & VRING_AVAIL_F_NO_INTERRUPT);
	return must || vring_need_event(load(used_event(vq)), vq->next_used, old);
}

/* With event indices there is nothing to say: the guest kicks when it passes the one that it was
 * told last.
 */
void virtq_hush(struct virtq *vq)
{
	if (vq->enabled && !vq->event_idx)
		store(&vq->used->flags, VRING_USED_F_NO_NOTIFY);
}

bool virtq_listen(struct virtq *vq)
{
	if (!vq->enabled)
		return false;
	if (vq->event_idx)
		store(avail_event(vq), vq->next_avail);
	else
		store(&vq->used->flags, 0);
	full_barrier();
	return n_pending(vq);
}
