/* SPDX-License-Identifier: MIT */
/* virtio.h - a driver for virtio devices at MMIO or on PCI: finding, starting, rings
 *
 * Devices lie in slots, as the VMM's documentation gives them; on PCI registers have the names that
 * they have at MMIO.  A driver sets up to two queues up
 * and polls; each step is a call of its own, so that a program can leave one out, or do it wrongly.
 */
#ifndef GUEST_VIRTIO_H
#define GUEST_VIRTIO_H

#include "guest.h"

#include <linux/virtio_config.h>
#include <linux/virtio_ids.h>
#include <linux/virtio_mmio.h>
#include <linux/virtio_ring.h>

#define VIRTIO_BASE  0xc0001000u /* of the first slot */
#define VIRTIO_SIZE  0x1000u
#define VIRTIO_SLOTS 19
#define VIRTIO_GSI   5 /* of the first slot */

#define QUEUE_RESET 0x0c0u /* not in the system's header */

/* Status as it grows. */
#define S_DRIVER      (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define S_FEATURES_OK (S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_RUNNING     (S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)

#define BIT(n) (1ull << (n))

#define QUEUE_SIZE 16
#define MAX_QUEUES 2

struct virtio;

struct queue {
	struct vring_desc desc[QUEUE_SIZE] __attribute__((aligned(16)));
	struct {
		uint16_t flags, idx, ring[QUEUE_SIZE], used_event;
	} avail __attribute__((aligned(4)));
	struct {
		uint16_t flags, idx;
		struct vring_used_elem ring[QUEUE_SIZE];
		uint16_t avail_event;
	} used __attribute__((aligned(4)));
	struct virtio *dev;
	uint32_t index;
	uint16_t n_seen; /* used entries that were taken */
};

struct virtio {
	uint32_t base, id;
	uint32_t pci; /* its configuration space; 0: it is at MMIO */
	unsigned int slot, n_queues;
	uint64_t features; /* agreed upon */
	struct queue queue[MAX_QUEUES];
};

/* The device in a slot, or the first from `slot` on that has this id.  False: there is none. */
bool virtio_find(struct virtio *dev, unsigned int slot);
bool virtio_find_id(struct virtio *dev, uint32_t id);

uint32_t virtio_get(const struct virtio *dev, uint32_t offset);
void virtio_set(const struct virtio *dev, uint32_t offset, uint32_t value);
uint32_t virtio_status(const struct virtio *dev);
bool virtio_is_broken(const struct virtio *dev);

/* Have it interrupt, by the vector of this index.  On PCI before its queues are enabled. */
void virtio_route(struct virtio *dev, unsigned int index, void (*handler)(void));

/* In this order; virtio_start() does it all, with those of `features` that are offered.  False: the
 * device did not agree.
 */
void virtio_reset(struct virtio *dev);
bool virtio_agree(struct virtio *dev, uint64_t features);
bool virtio_enable(struct virtio *dev, unsigned int index);
bool virtio_start(struct virtio *dev, uint64_t features);

/* Where the rings of the selected queue are. */
void virtio_write_rings(const struct virtio *dev, const struct queue *queue);

void queue_set(struct queue *queue, unsigned int i, const volatile void *at, uint32_t len,
	uint16_t flags, uint16_t next);
/* Make the chain available that begins with `head`; tell the device. */
void queue_offer(struct queue *queue, uint16_t head);
void queue_kick(const struct queue *queue);
/* Wait until a chain is used, and take it: true; false: the device has broken, or does not answer.
 */
bool queue_wait(struct queue *queue, struct vring_used_elem *elem);
bool queue_has_used(const struct queue *queue);

/* Wait until the device says that it needs a reset. */
bool virtio_wait_broken(const struct virtio *dev);

#endif
