// SPDX-License-Identifier: MIT
/* virtio.c - a driver for virtio devices at MMIO */

#include "virtio.h"

#define MAGIC    0x74726976u
#define PATIENCE 200000u /* turns, each an exit to the VMM */

uint32_t virtio_get(const struct virtio *dev, uint32_t offset)
{
	return read32(dev->base + offset);
}

void virtio_set(const struct virtio *dev, uint32_t offset, uint32_t value)
{
	write32(dev->base + offset, value);
}

uint32_t virtio_status(const struct virtio *dev)
{
	return virtio_get(dev, VIRTIO_MMIO_STATUS);
}

bool virtio_is_broken(const struct virtio *dev)
{
	return virtio_status(dev) & VIRTIO_CONFIG_S_NEEDS_RESET;
}

/* ---- finding ---- */

static unsigned int count_queues(const struct virtio *dev)
{
	unsigned int n = 0;

	do
		virtio_set(dev, VIRTIO_MMIO_QUEUE_SEL, n);
	while (virtio_get(dev, VIRTIO_MMIO_QUEUE_NUM_MAX) && n++ < MAX_QUEUES);
	return n < MAX_QUEUES ? n : MAX_QUEUES;
}

bool virtio_find(struct virtio *dev, unsigned int slot)
{
	dev->base = VIRTIO_BASE + slot * VIRTIO_SIZE;
	dev->slot = slot;
	if (virtio_get(dev, VIRTIO_MMIO_MAGIC_VALUE) != MAGIC)
		return false;
	dev->id = virtio_get(dev, VIRTIO_MMIO_DEVICE_ID);
	if (!dev->id)
		return false;
	dev->n_queues = count_queues(dev);
	return true;
}

bool virtio_find_id(struct virtio *dev, uint32_t id)
{
	for (unsigned int slot = 0; slot < VIRTIO_SLOTS; slot++)
		if (virtio_find(dev, slot) && dev->id == id)
			return true;
	return false;
}

/* ---- starting ---- */

void virtio_reset(struct virtio *dev)
{
	virtio_set(dev, VIRTIO_MMIO_STATUS, 0);
	dev->features = 0;
}

bool virtio_agree(struct virtio *dev, uint64_t features)
{
	uint64_t offered = 0;

	virtio_set(dev, VIRTIO_MMIO_STATUS, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_DRIVER);
	for (uint32_t word = 2; word-- > 0;) {
		virtio_set(dev, VIRTIO_MMIO_DEVICE_FEATURES_SEL, word);
		offered = offered << 32 | virtio_get(dev, VIRTIO_MMIO_DEVICE_FEATURES);
	}
	dev->features = (features | BIT(VIRTIO_F_VERSION_1)) & offered;
	for (uint32_t word = 2; word-- > 0;) {
		virtio_set(dev, VIRTIO_MMIO_DRIVER_FEATURES_SEL, word);
		virtio_set(
			dev, VIRTIO_MMIO_DRIVER_FEATURES, (uint32_t)(dev->features >> 32 * word));
	}
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_FEATURES_OK);
	return virtio_status(dev) == S_FEATURES_OK;
}

void virtio_write_rings(const struct virtio *dev, const struct queue *queue)
{
	virtio_set(dev, VIRTIO_MMIO_QUEUE_NUM, QUEUE_SIZE);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_DESC_LOW, (uint32_t)queue->desc);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_DESC_HIGH, 0);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_AVAIL_LOW, (uint32_t)&queue->avail);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 0);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_USED_LOW, (uint32_t)&queue->used);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_USED_HIGH, 0);
}

bool virtio_enable(struct virtio *dev, unsigned int index)
{
	struct queue *queue = &dev->queue[index];

	*queue = (struct queue){ .dev = dev, .index = index };
	virtio_set(dev, VIRTIO_MMIO_QUEUE_SEL, index);
	if (virtio_get(dev, VIRTIO_MMIO_QUEUE_READY))
		return false;
	virtio_write_rings(dev, queue);
	virtio_set(dev, VIRTIO_MMIO_QUEUE_READY, 1);
	return virtio_get(dev, VIRTIO_MMIO_QUEUE_READY) == 1;
}

bool virtio_start(struct virtio *dev, uint64_t features)
{
	virtio_reset(dev);
	if (!virtio_agree(dev, features))
		return false;
	for (unsigned int i = 0; i < dev->n_queues; i++)
		if (!virtio_enable(dev, i))
			return false;
	virtio_set(dev, VIRTIO_MMIO_STATUS, S_RUNNING);
	return virtio_status(dev) == S_RUNNING;
}

/* ---- rings ---- */

/* The other side runs at the same time: what was written before is seen before. */
static void barrier(void)
{
	__sync_synchronize();
}

void queue_set(struct queue *queue, unsigned int i, const volatile void *at, uint32_t len,
	uint16_t flags, uint16_t next)
{
	queue->desc[i] = (struct vring_desc){ (uint32_t)at, len, flags, next };
}

void queue_offer(struct queue *queue, uint16_t head)
{
	queue->avail.ring[queue->avail.idx % QUEUE_SIZE] = head;
	barrier();
	*(volatile uint16_t *)&queue->avail.idx += 1;
	barrier();
}

void queue_kick(const struct queue *queue)
{
	barrier();
	virtio_set(queue->dev, VIRTIO_MMIO_QUEUE_NOTIFY, queue->index);
}

bool queue_has_used(const struct queue *queue)
{
	return *(const volatile uint16_t *)&queue->used.idx != queue->n_seen;
}

bool queue_wait(struct queue *queue, struct vring_used_elem *elem)
{
	for (uint32_t i = 0; i < PATIENCE && !queue_has_used(queue); i++)
		if (virtio_is_broken(queue->dev))
			return false;
	if (!queue_has_used(queue))
		return false;
	barrier();
	*elem = queue->used.ring[queue->n_seen++ % QUEUE_SIZE];
	return true;
}

bool virtio_wait_broken(const struct virtio *dev)
{
	for (uint32_t i = 0; i < PATIENCE; i++)
		if (virtio_is_broken(dev))
			return true;
	return false;
}
