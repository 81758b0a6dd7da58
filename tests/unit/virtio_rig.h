/* SPDX-License-Identifier: MIT */
/* virtio_rig.h - guest memory, and the driver's side of a split virtqueue
 *
 * For unit tests and fuzz targets.  A ring's place is in `gpa`s; what it holds is written as a
 * guest writes it, with no more care than the caller takes.
 */
#ifndef TESTS_UNIT_VIRTIO_RIG_H
#define TESTS_UNIT_VIRTIO_RIG_H

#include "virtio/virtq.h"

#include <linux/virtio_ring.h>
#include <string.h>
#include <sys/mman.h>

/* ---- memory: a region on either side of the device hole ---- */

#define RIG_REGION KIB(256) /* each */
#define RIG_GUARD  KIB(64)  /* beside each: an access there ends the test */
#define RIG_HIGH   GUEST_MEM_HIGH_BASE

static inline uint8_t *rig_map(void)
{
	uint8_t *at = mmap(NULL, RIG_REGION + 2 * RIG_GUARD, PROT_NONE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	BUG_ON(at == MAP_FAILED);
	BUG_ON(mprotect(at + RIG_GUARD, RIG_REGION, PROT_READ | PROT_WRITE));
	return at + RIG_GUARD;
}

static inline void rig_mem_init(struct guest_mem *mem)
{
	*mem = (struct guest_mem){
		.region = { { .size = RIG_REGION, .hva = rig_map() },
			{ .gpa = RIG_HIGH, .size = RIG_REGION, .hva = rig_map() } },
		.n_regions = 2,
	};
}

static inline void rig_mem_fini(struct guest_mem *mem)
{
	for (size_t i = 0; i < mem->n_regions; i++)
		munmap(mem->region[i].hva - RIG_GUARD, RIG_REGION + 2 * RIG_GUARD);
}

/* Where it is for us, when it is RAM for sure. */
static inline void *rig_at(const struct guest_mem *mem, gpa_t gpa, uint64_t size)
{
	void *hva = guest_mem_at(mem, gpa, size);

	BUG_ON(!hva);
	return hva;
}

/* Whether all of a host's range is RAM. */
static inline bool rig_is_ram(const struct guest_mem *mem, const void *at, size_t size)
{
	for (size_t i = 0; i < mem->n_regions; i++) {
		const struct mem_region *region = &mem->region[i];

		if (range_within((uintptr_t)at, size, (uintptr_t)region->hva, region->size))
			return true;
	}
	return false;
}

/* ---- a ring ---- */

struct rig_ring {
	const struct guest_mem *mem;
	uint16_t size;
	gpa_t desc_at, avail_at, used_at;
	uint16_t n_offered, n_seen; /* as the indices count */
};

/* Its three parts one after the other from `at` on, all zero. */
static inline void rig_ring_init(
	struct rig_ring *ring, const struct guest_mem *mem, gpa_t at, uint16_t size)
{
	gpa_t avail = at + 16ull * size, used = ALIGN_UP(avail + 6 + 2ull * size, 4);
	uint64_t end = used + 6 + 8ull * size;

	*ring = (struct rig_ring){ mem, size, at, avail, used, 0, 0 };
	memset(rig_at(mem, at, end - at), 0, end - at);
}

static inline struct vring_desc *rig_desc(const struct rig_ring *ring, unsigned int i)
{
	return (struct vring_desc *)rig_at(ring->mem, ring->desc_at, 16ull * ring->size) + i;
}

static inline struct vring_avail *rig_avail(const struct rig_ring *ring)
{
	return rig_at(ring->mem, ring->avail_at, 6 + 2ull * ring->size);
}

static inline struct vring_used *rig_used(const struct rig_ring *ring)
{
	return rig_at(ring->mem, ring->used_at, 6 + 8ull * ring->size);
}

/* Behind the entries: when the driver wants to be interrupted, the device to be kicked. */
static inline uint16_t *rig_used_event(const struct rig_ring *ring)
{
	return &rig_avail(ring)->ring[ring->size];
}

static inline uint16_t rig_avail_event(const struct rig_ring *ring)
{
	return *(const uint16_t *)&rig_used(ring)->ring[ring->size];
}

static inline void rig_publish(struct rig_ring *ring)
{
	__atomic_store_n(&rig_avail(ring)->idx, ring->n_offered, __ATOMIC_RELEASE);
}

/* Make the chain available that begins with `head`. */
static inline void rig_offer(struct rig_ring *ring, uint16_t head)
{
	rig_avail(ring)->ring[ring->n_offered++ % ring->size] = head;
	rig_publish(ring);
}

/* A buffer of one descriptor, made available. */
static inline void rig_offer_one(
	struct rig_ring *ring, uint16_t head, gpa_t gpa, uint32_t len, uint16_t flags)
{
	*rig_desc(ring, head) = (struct vring_desc){ gpa, len, flags, 0 };
	rig_offer(ring, head);
}

/* How many used entries have not been taken, and the next of them. */
static inline uint16_t rig_n_used(const struct rig_ring *ring)
{
	return (uint16_t)(__atomic_load_n(&rig_used(ring)->idx, __ATOMIC_ACQUIRE) - ring->n_seen);
}

static inline struct vring_used_elem rig_take(struct rig_ring *ring)
{
	BUG_ON(!rig_n_used(ring));
	return rig_used(ring)->ring[ring->n_seen++ % ring->size];
}

/* The device's side, set as the driver sets it. */
static inline void rig_place(const struct rig_ring *ring, struct virtq *vq)
{
	vq->size = ring->size;
	vq->desc_at = ring->desc_at;
	vq->avail_at = ring->avail_at;
	vq->used_at = ring->used_at;
}

/* As virtq_init() makes it. */
static inline bool rig_is_fresh(const struct virtq *vq)
{
	return vq->size == vq->max_size && !vq->enabled && !vq->event_idx && !vq->must_signal &&
	       !vq->desc_at && !vq->avail_at && !vq->used_at && !vq->desc && !vq->avail &&
	       !vq->used && !vq->next_avail && !vq->next_used && !vq->signalled;
}

#endif
