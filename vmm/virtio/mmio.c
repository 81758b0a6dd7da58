// SPDX-License-Identifier: MIT
/* mmio.c - virtio over MMIO */

#include "virtio/mmio.h"

#include <linux/virtio_mmio.h>

#define MAGIC   0x74726976u /* "virt" */
#define VERSION 2u
#define VENDOR  0x544e5250u /* "PRNT" */

/* virtio 1.2, 4.2.2: of a queue that may be reset alone; not in the system's header. */
#define REG_QUEUE_RESET 0x0c0u

static struct virtio_mmio *mmio_of(struct device *dev)
{
	return (struct virtio_mmio *)((struct virtio_dev *)dev)->transport;
}

static void signal_guest(struct virtio_mmio *mmio, uint32_t why)
{
	mmio->interrupt_status |= why;
	irq_raise(&mmio->line);
}

static void mmio_signal_queue(struct virtio_transport *transport, unsigned int)
{
	signal_guest((struct virtio_mmio *)transport, VIRTIO_MMIO_INT_VRING);
}

static void mmio_signal_config(struct virtio_transport *transport)
{
	signal_guest((struct virtio_mmio *)transport, VIRTIO_MMIO_INT_CONFIG);
}

static bool mmio_doorbell(
	const struct virtio_transport *transport, unsigned int index, struct virtio_doorbell *bell)
{
	const struct virtio_mmio *mmio = (const struct virtio_mmio *)transport;

	*bell = (struct virtio_doorbell){
		.gpa = mmio->base + VIRTIO_MMIO_QUEUE_NOTIFY,
		.size = 4,
		.has_match = true,
		.match = index,
	};
	return true;
}

static void mmio_connect_calls(struct virtio_transport *transport)
{
	struct virtio_mmio *mmio = (struct virtio_mmio *)transport;
	const struct virtio_env *env = mmio->vdev->env;
	struct irq_chip *chip = mmio->line.chip;
	unsigned int n = mmio->vdev->n_elsewhere;
	struct virtio_queue *queue = mmio->vdev->queue;

	if (!chip->connect)
		return;
	pthread_mutex_lock(&chip->dev.lock);
	for (unsigned int i = 0; i < n; i++) {
		queue[i].call.is_wanted = queue[i].is_called;
		queue[i].call.next = i + 1 < n ? &queue[i + 1].call : NULL;
	}
	chip->connect(chip, mmio->line.gsi, &queue[0].call, env->irqfds, env->ctx);
	pthread_mutex_unlock(&chip->dev.lock);
}

/* ---- registers ---- */

/* Who interrupts without us leaves no note of it.  A driver that finds nothing in its queues has
 * been interrupted for nothing, which it bears.
 */
static uint32_t interrupt_status(const struct virtio_mmio *mmio)
{
	const struct virtio_dev *vdev = mmio->vdev;
	uint32_t status = mmio->interrupt_status;

	for (unsigned int i = 0; i < vdev->n_elsewhere; i++)
		if (vdev->queue[i].is_called)
			status |= VIRTIO_MMIO_INT_VRING;
	return status;
}

static uint32_t read_register(const struct virtio_mmio *mmio, uint64_t offset)
{
	struct virtio_dev *vdev = mmio->vdev;
	const struct virtq *vq = virtio_queue(vdev, mmio->queue_select);

	switch (offset) {
	case VIRTIO_MMIO_MAGIC_VALUE: return MAGIC;
	case VIRTIO_MMIO_VERSION: return VERSION;
	case VIRTIO_MMIO_DEVICE_ID: return vdev->class->id;
	case VIRTIO_MMIO_VENDOR_ID: return VENDOR;
	case VIRTIO_MMIO_DEVICE_FEATURES: return virtio_offered_word(vdev, mmio->offered_select);
	/* Write-only, but TamaGo reads back what it wrote. */
	case VIRTIO_MMIO_DRIVER_FEATURES: return virtio_features_word(vdev, mmio->features_select);
	case VIRTIO_MMIO_QUEUE_NUM_MAX: return vq ? vq->max_size : 0;
	case VIRTIO_MMIO_QUEUE_READY: return vq && vq->enabled;
	case VIRTIO_MMIO_INTERRUPT_STATUS: return interrupt_status(mmio);
	case VIRTIO_MMIO_STATUS: return vdev->status;
	case VIRTIO_MMIO_CONFIG_GENERATION: return vdev->config_generation;
	/* 4.2.2: no shared memory region, whichever is asked for. */
	case VIRTIO_MMIO_SHM_LEN_LOW:
	case VIRTIO_MMIO_SHM_LEN_HIGH:
	case VIRTIO_MMIO_SHM_BASE_LOW:
	case VIRTIO_MMIO_SHM_BASE_HIGH: return UINT32_MAX;
	default: return 0;
	}
}

static void set_low(gpa_t *gpa, uint32_t value)
{
	*gpa = (*gpa & ~(gpa_t)UINT32_MAX) | value;
}

static void set_high(gpa_t *gpa, uint32_t value)
{
	*gpa = (*gpa & UINT32_MAX) | (gpa_t)value << 32;
}

/* The size and the places of a queue's rings, which stay as they are while it is enabled. */
static void write_rings(struct virtq *vq, uint64_t offset, uint32_t value)
{
	if (!vq || vq->enabled)
		return;
	switch (offset) {
	case VIRTIO_MMIO_QUEUE_NUM: vq->size = value > UINT16_MAX ? 0 : (uint16_t)value; break;
	case VIRTIO_MMIO_QUEUE_DESC_LOW: set_low(&vq->desc_at, value); break;
	case VIRTIO_MMIO_QUEUE_DESC_HIGH: set_high(&vq->desc_at, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_LOW: set_low(&vq->avail_at, value); break;
	case VIRTIO_MMIO_QUEUE_AVAIL_HIGH: set_high(&vq->avail_at, value); break;
	case VIRTIO_MMIO_QUEUE_USED_LOW: set_low(&vq->used_at, value); break;
	case VIRTIO_MMIO_QUEUE_USED_HIGH: set_high(&vq->used_at, value); break;
	default: break;
	}
}

static void write_status(struct virtio_mmio *mmio, uint32_t value)
{
	if (value > UINT8_MAX)
		return;
	virtio_set_status(mmio->vdev, (uint8_t)value);
	if (!value)
		mmio->interrupt_status = 0;
}

static void write_register(struct virtio_mmio *mmio, uint64_t offset, uint32_t value)
{
	struct virtio_dev *vdev = mmio->vdev;

	switch (offset) {
	case VIRTIO_MMIO_DEVICE_FEATURES_SEL: mmio->offered_select = value; break;
	case VIRTIO_MMIO_DRIVER_FEATURES_SEL: mmio->features_select = value; break;
	case VIRTIO_MMIO_DRIVER_FEATURES:
		virtio_set_features_word(vdev, mmio->features_select, value);
		break;
	case VIRTIO_MMIO_QUEUE_SEL: mmio->queue_select = value; break;
	case VIRTIO_MMIO_QUEUE_READY:
		if (value)
			virtio_enable_queue(vdev, mmio->queue_select);
		else
			virtio_reset_queue(vdev, mmio->queue_select);
		break;
	case REG_QUEUE_RESET:
		if (value)
			virtio_reset_queue(vdev, mmio->queue_select);
		break;
	case VIRTIO_MMIO_QUEUE_NOTIFY: virtio_kick(vdev, value); break;
	case VIRTIO_MMIO_INTERRUPT_ACK: mmio->interrupt_status &= ~value; break;
	case VIRTIO_MMIO_STATUS: write_status(mmio, value); break;
	default: write_rings(virtio_queue(vdev, mmio->queue_select), offset, value); break;
	}
}

/* 4.2.2.2: registers are 32 bits wide; the configuration space is whatever the guest likes. */
static uint64_t mmio_read(struct device *dev, uint64_t offset, unsigned int size)
{
	struct virtio_mmio *mmio = mmio_of(dev);

	if (offset >= VIRTIO_MMIO_CONFIG)
		return virtio_read_config(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size);
	return size == 4 ? read_register(mmio, offset) : 0;
}

static void mmio_write(struct device *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_mmio *mmio = mmio_of(dev);

	if (offset >= VIRTIO_MMIO_CONFIG)
		virtio_write_config(mmio->vdev, offset - VIRTIO_MMIO_CONFIG, size, value);
	else if (size == 4)
		write_register(mmio, offset, (uint32_t)value);
}

static void mmio_reset(struct device *dev)
{
	struct virtio_mmio *mmio = mmio_of(dev);

	virtio_reset(mmio->vdev);
	mmio->offered_select = mmio->features_select = mmio->queue_select = 0;
	mmio->interrupt_status = 0;
}

static const struct state_field fields[] = {
	STATE_FIELD(struct virtio_mmio, offered_select, 1),
	STATE_FIELD(struct virtio_mmio, features_select, 1),
	STATE_FIELD(struct virtio_mmio, queue_select, 1),
	STATE_FIELD(struct virtio_mmio, interrupt_status, 1),
	STATE_END,
};

const struct state_table virtio_mmio_state = { "virtio-mmio", 1, fields };

static const struct device_ops mmio_ops = {
	.read = mmio_read,
	.write = mmio_write,
	.reset = mmio_reset,
};

void virtio_mmio_init(
	struct virtio_mmio *mmio, struct virtio_dev *vdev, struct irq_line line, uint64_t base)
{
	*mmio = (struct virtio_mmio){
		.transport = {
			.signal_queue = mmio_signal_queue,
			.signal_config = mmio_signal_config,
			.doorbell = mmio_doorbell,
			.connect_calls = mmio_connect_calls,
		},
		.vdev = vdev,
		.line = line,
		.base = base,
	};
	vdev->transport = &mmio->transport;
	vdev->dev.ops = &mmio_ops;
}
