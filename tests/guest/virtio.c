// SPDX-License-Identifier: MIT
/* virtio.c - a driver for virtio devices at MMIO or on PCI */

#include "virtio.h"

#define MAGIC    0x74726976u
#define PATIENCE 200000u /* turns, each an exit to the VMM */

/* ---- registers ---- */

#define ECAM        0xf8000000u
#define VENDOR      0x1af4u
#define FIRST_ID    0x1040u
#define CAP_POINTER 0x34
#define CAP_MSIX    0x11
#define MSIX_ENABLE (1u << 31) /* of the capability's first word */

/* What is where in a device's BAR. */
#define PCI_COMMON  0x0000u
#define PCI_CONFIG  0x1000u
#define PCI_NOTIFY  0x2000u
#define PCI_VECTORS 0x3000u

#define PCI_QUEUE_VECTOR 26

/* By their names at MMIO: where they are among the common ones of PCI, and how wide. */
static const struct {
	uint16_t mmio;
	uint8_t pci, size;
} registers[] = {
	{ VIRTIO_MMIO_DEVICE_FEATURES_SEL, 0, 4 },
	{ VIRTIO_MMIO_DEVICE_FEATURES, 4, 4 },
	{ VIRTIO_MMIO_DRIVER_FEATURES_SEL, 8, 4 },
	{ VIRTIO_MMIO_DRIVER_FEATURES, 12, 4 },
	{ VIRTIO_MMIO_STATUS, 20, 1 },
	{ VIRTIO_MMIO_QUEUE_SEL, 22, 2 },
	{ VIRTIO_MMIO_QUEUE_NUM, 24, 2 },
	{ VIRTIO_MMIO_QUEUE_NUM_MAX, 24, 2 },
	{ VIRTIO_MMIO_QUEUE_READY, 28, 2 },
	{ VIRTIO_MMIO_QUEUE_DESC_LOW, 32, 4 },
	{ VIRTIO_MMIO_QUEUE_DESC_HIGH, 36, 4 },
	{ VIRTIO_MMIO_QUEUE_AVAIL_LOW, 40, 4 },
	{ VIRTIO_MMIO_QUEUE_AVAIL_HIGH, 44, 4 },
	{ VIRTIO_MMIO_QUEUE_USED_LOW, 48, 4 },
	{ VIRTIO_MMIO_QUEUE_USED_HIGH, 52, 4 },
};

static uint32_t read_wide(uint32_t at, uint32_t size)
{
	if (size == 4)
		return read32(at);
	return size == 2 ? *(volatile uint16_t *)at : *(volatile uint8_t *)at;
}

static void write_wide(uint32_t at, uint32_t size, uint32_t value)
{
	if (size == 4)
		write32(at, value);
	else if (size == 2)
		*(volatile uint16_t *)at = (uint16_t)value;
	else
		*(volatile uint8_t *)at = (uint8_t)value;
}

/* Where it is on PCI; 0: there is none, as no interrupt is to be acknowledged. */
static uint32_t find_register(const struct virtio *dev, uint32_t offset, uint32_t *size)
{
	*size = 4;
	if (offset >= VIRTIO_MMIO_CONFIG)
		return dev->base + PCI_CONFIG + offset - VIRTIO_MMIO_CONFIG;
	for (unsigned int i = 0; i < sizeof(registers) / sizeof(registers[0]); i++)
		if (registers[i].mmio == offset) {
			*size = registers[i].size;
			return dev->base + PCI_COMMON + registers[i].pci;
		}
	return 0;
}

uint32_t virtio_get(const struct virtio *dev, uint32_t offset)
{
	uint32_t at = dev->base + offset, size = 4;

	if (dev->pci)
		at = find_register(dev, offset, &size);
	return at ? read_wide(at, size) : VIRTIO_MMIO_INT_VRING;
}

void virtio_set(const struct virtio *dev, uint32_t offset, uint32_t value)
{
	uint32_t at = dev->base + offset, size = 4;

	if (dev->pci && offset == VIRTIO_MMIO_QUEUE_NOTIFY)
		at = dev->base + PCI_NOTIFY + 4 * value, size = 2;
	else if (dev->pci)
		at = find_register(dev, offset, &size);
	if (at)
		write_wide(at, size, value);
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

/* Behind the host bridge. */
static bool find_on_pci(struct virtio *dev, unsigned int slot)
{
	uint32_t pci = ECAM + ((slot + 1) << 15), id = read32(pci);

	if ((id & 0xffff) != VENDOR)
		return false;
	dev->pci = pci;
	dev->base = read32(pci + 0x10) & ~0xfu;
	dev->id = (id >> 16) - FIRST_ID;
	dev->n_queues = count_queues(dev);
	return true;
}

bool virtio_find(struct virtio *dev, unsigned int slot)
{
	dev->base = VIRTIO_BASE + slot * VIRTIO_SIZE;
	dev->slot = slot;
	dev->pci = 0;
	if (read32(ECAM) != UINT32_MAX)
		return find_on_pci(dev, slot);
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

static uint32_t find_capability(const struct virtio *dev, uint8_t id)
{
	uint32_t at = read32(dev->pci + CAP_POINTER) & 0xff;

	while (at && (read32(dev->pci + at) & 0xff) != id)
		at = read32(dev->pci + at) >> 8 & 0xff;
	return dev->pci + at;
}

/* On PCI it is the message of all of its queues. */
void virtio_route(struct virtio *dev, unsigned int index, void (*handler)(void))
{
	uint32_t msix, entry = dev->base + PCI_VECTORS;

	if (!dev->pci) {
		irq_route(VIRTIO_GSI + dev->slot, index, handler);
		return;
	}
	vector_handle(index, handler);
	write32(entry, LAPIC | lapic_id() << 12);
	write32(entry + 4, 0);
	write32(entry + 8, FIRST_VECTOR + index);
	write32(entry + 12, 0);
	msix = find_capability(dev, CAP_MSIX);
	write32(msix, read32(msix) | MSIX_ENABLE);
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
	if (dev->pci)
		write_wide(dev->base + PCI_COMMON + PCI_QUEUE_VECTOR, 2, 0);
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
