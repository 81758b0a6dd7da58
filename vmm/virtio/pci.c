// SPDX-License-Identifier: MIT
/* pci.c - virtio over PCI */

#include "virtio/pci.h"

#include <linux/virtio_pci.h>
#include <string.h>

#define VENDOR       0x1af4
#define DEVICE(id)   (uint16_t)(0x1040 + (id)) /* 4.1.2 */
#define REVISION     1
#define SUBSYSTEM_ID 0x40

/* What is where in the BAR, a page each. */
#define PAGE       0x1000u
#define COMMON     0x0000u
#define ISR        0x0800u
#define CONFIG     0x1000u
#define NOTIFY     0x2000u
#define VECTORS    0x3000u
#define PENDING    0x3800u
#define MULTIPLIER 4u /* bytes between two queues' doorbells */

/* 4.1.4.3 has two registers behind those of the system's header, for VIRTIO_F_NOTIF_CONFIG_DATA,
 * which is not offered, and VIRTIO_F_RING_RESET.
 */
struct common {
	struct virtio_pci_common_cfg base;
	uint16_t queue_notify_data, queue_reset;
};

_Static_assert(offsetof(struct common, queue_notify_data) == VIRTIO_PCI_COMMON_Q_NDATA, "4.1.4.3");
_Static_assert(offsetof(struct common, queue_reset) == VIRTIO_PCI_COMMON_Q_RESET, "4.1.4.3");
_Static_assert(IRQFD_MAX >= VIRTIO_MAX_QUEUES, "all queues together");
_Static_assert(MSIX_MAX >= VIRTIO_MAX_QUEUES + 1, "a vector for each queue and the configuration");
_Static_assert(VECTORS + MSIX_MAX * MSIX_ENTRY_SIZE <= PENDING, "the table");

static struct virtio_pci *pci_of(struct device *dev)
{
	return (struct virtio_pci *)((struct virtio_dev *)dev)->transport;
}

/* ---- signals ---- */

/* 4.1.4.5: the ISR is for who takes no messages.  There is no pin: such a driver polls. */
static void signal_guest(struct virtio_pci *pci, uint16_t vector, uint8_t why)
{
	if (msix_is_enabled(&pci->msix))
		msix_signal(&pci->msix, vector);
	else
		pci->isr |= why;
}

static void signal_queue(struct virtio_transport *transport, unsigned int index)
{
	struct virtio_pci *pci = (struct virtio_pci *)transport;

	signal_guest(pci, pci->queue_vector[index], 1);
}

static void signal_config(struct virtio_transport *transport)
{
	struct virtio_pci *pci = (struct virtio_pci *)transport;

	signal_guest(pci, pci->config_vector, VIRTIO_PCI_ISR_CONFIG);
}

/* Each queue's own address says all: KVM need not know the value, nor decode the instruction. */
static bool doorbell(
	const struct virtio_transport *transport, unsigned int index, struct virtio_doorbell *bell)
{
	const struct virtio_pci *pci = (const struct virtio_pci *)transport;

	*bell = (struct virtio_doorbell){
		.gpa = pci->function.at + NOTIFY + index * MULTIPLIER,
	};
	return pci->function.at != PCI_NOWHERE;
}

/* Also after each change of what messages are, which mostly is while there is no driver. */
static void connect_calls(struct virtio_transport *transport)
{
	struct virtio_pci *pci = (struct virtio_pci *)transport;
	const struct virtio_env *env = pci->vdev->env;
	struct irqfd_change change[IRQFD_MAX] = { 0 };
	unsigned int n = 0;

	for (unsigned int i = 0; i < pci->vdev->n_elsewhere; i++) {
		struct virtio_queue *queue = &pci->vdev->queue[i];

		if (!queue->is_called && !queue->call.is_on)
			continue;
		change[n].irqfd = &queue->call;
		change[n].on = queue->is_called &&
		               msix_message(&pci->msix, pci->queue_vector[i], &change[n].message);
		n++;
	}
	if (n && env->irqfds)
		irqfd_change(env->irqfds, env->ctx, change, n);
}

/* ---- the common registers ---- */

static void describe_queue(
	const struct virtio_pci *pci, const struct virtq *vq, struct common *common)
{
	struct virtio_pci_common_cfg *base = &common->base;

	base->queue_size = vq->size;
	base->queue_msix_vector = pci->queue_vector[pci->queue_select];
	base->queue_enable = vq->enabled;
	base->queue_notify_off = pci->queue_select;
	base->queue_desc_lo = (uint32_t)vq->desc_at;
	base->queue_desc_hi = (uint32_t)(vq->desc_at >> 32);
	base->queue_avail_lo = (uint32_t)vq->avail_at;
	base->queue_avail_hi = (uint32_t)(vq->avail_at >> 32);
	base->queue_used_lo = (uint32_t)vq->used_at;
	base->queue_used_hi = (uint32_t)(vq->used_at >> 32);
	common->queue_notify_data = pci->queue_select;
}

static void describe(const struct virtio_pci *pci, struct common *common)
{
	struct virtio_dev *vdev = pci->vdev;
	const struct virtq *vq = virtio_queue(vdev, pci->queue_select);

	*common = (struct common){
		.base = {
			.device_feature_select = pci->offered_select,
			.device_feature = virtio_offered_word(vdev, pci->offered_select),
			.guest_feature_select = pci->features_select,
			.guest_feature = virtio_features_word(vdev, pci->features_select),
			.msix_config = pci->config_vector,
			.num_queues = (uint16_t)vdev->n_queues,
			.device_status = vdev->status,
			.config_generation = vdev->config_generation,
			.queue_select = pci->queue_select,
			.queue_msix_vector = VIRTIO_MSI_NO_VECTOR,
		},
	};
	if (vq)
		describe_queue(pci, vq, common);
}

static uint64_t read_common(const struct virtio_pci *pci, uint64_t offset, unsigned int size)
{
	struct common common;
	uint64_t value = 0;

	if (!range_within(offset, size, 0, sizeof(common)))
		return 0;
	describe(pci, &common);
	memcpy(&value, (const char *)&common + offset, size);
	return value;
}

/* 4.1.5.1.2.1: a vector that is not there reads back as none. */
static uint16_t vector_of(const struct virtio_pci *pci, uint32_t value)
{
	return value < pci->msix.n ? (uint16_t)value : VIRTIO_MSI_NO_VECTOR;
}

static void forget(struct virtio_pci *pci)
{
	pci->offered_select = pci->features_select = pci->queue_select = 0;
	pci->config_vector = VIRTIO_MSI_NO_VECTOR;
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		pci->queue_vector[i] = VIRTIO_MSI_NO_VECTOR;
	pci->isr = 0;
}

static void write_status(struct virtio_pci *pci, uint8_t value)
{
	virtio_set_status(pci->vdev, value);
	if (!pci->vdev->status)
		forget(pci);
}

static void reset_queue(struct virtio_pci *pci)
{
	virtio_reset_queue(pci->vdev, pci->queue_select);
	if (pci->queue_select < VIRTIO_MAX_QUEUES)
		pci->queue_vector[pci->queue_select] = VIRTIO_MSI_NO_VECTOR;
}

static void set_half(gpa_t *gpa, bool high, uint32_t value)
{
	unsigned int shift = high ? 32 : 0;

	*gpa = (*gpa & ~((gpa_t)UINT32_MAX << shift)) | (gpa_t)value << shift;
}

/* The size and the places of a queue's rings, which stay as they are while it is enabled. */
static void write_rings(struct virtq *vq, uint64_t offset, uint32_t value)
{
	bool high = offset & 4;

	if (!vq || vq->enabled)
		return;
	switch (offset) {
	case VIRTIO_PCI_COMMON_Q_SIZE: vq->size = (uint16_t)value; break;
	case VIRTIO_PCI_COMMON_Q_DESCLO:
	case VIRTIO_PCI_COMMON_Q_DESCHI: set_half(&vq->desc_at, high, value); break;
	case VIRTIO_PCI_COMMON_Q_AVAILLO:
	case VIRTIO_PCI_COMMON_Q_AVAILHI: set_half(&vq->avail_at, high, value); break;
	case VIRTIO_PCI_COMMON_Q_USEDLO:
	case VIRTIO_PCI_COMMON_Q_USEDHI: set_half(&vq->used_at, high, value); break;
	default: break;
	}
}

static void write_field(struct virtio_pci *pci, uint64_t offset, uint32_t value)
{
	struct virtio_dev *vdev = pci->vdev;
	struct virtq *vq = virtio_queue(vdev, pci->queue_select);

	switch (offset) {
	case VIRTIO_PCI_COMMON_DFSELECT: pci->offered_select = value; break;
	case VIRTIO_PCI_COMMON_GFSELECT: pci->features_select = value; break;
	case VIRTIO_PCI_COMMON_GF:
		virtio_set_features_word(vdev, pci->features_select, value);
		break;
	case VIRTIO_PCI_COMMON_MSIX: pci->config_vector = vector_of(pci, value); break;
	case VIRTIO_PCI_COMMON_STATUS: write_status(pci, (uint8_t)value); break;
	case VIRTIO_PCI_COMMON_Q_SELECT: pci->queue_select = (uint16_t)value; break;
	case VIRTIO_PCI_COMMON_Q_MSIX:
		if (vq)
			pci->queue_vector[pci->queue_select] = vector_of(pci, value);
		connect_calls(&pci->transport);
		break;
	case VIRTIO_PCI_COMMON_Q_ENABLE:
		if (value == 1)
			virtio_enable_queue(vdev, pci->queue_select);
		break;
	case VIRTIO_PCI_COMMON_Q_RESET:
		if (value == 1)
			reset_queue(pci);
		break;
	default: write_rings(vq, offset, value); break;
	}
}

/* 4.1.3.1: each field by its own width; those of 64 bits by halves, too. */
static unsigned int width_at(uint64_t offset)
{
	if (offset >= VIRTIO_PCI_COMMON_Q_DESCLO && offset < VIRTIO_PCI_COMMON_Q_NDATA)
		return 4;
	if (offset < VIRTIO_PCI_COMMON_MSIX)
		return 4;
	return offset == VIRTIO_PCI_COMMON_STATUS ? 1 : 2;
}

static void write_common(struct virtio_pci *pci, uint64_t offset, unsigned int size, uint64_t value)
{
	if (size == 8 && offset >= VIRTIO_PCI_COMMON_Q_DESCLO &&
		offset <= VIRTIO_PCI_COMMON_Q_USEDLO) {
		write_field(pci, offset, (uint32_t)value);
		write_field(pci, offset + 4, (uint32_t)(value >> 32));
	} else if (size == width_at(offset)) {
		write_field(pci, offset, (uint32_t)value);
	}
}

/* ---- the BAR ---- */

/* 4.1.4.5: to read it is to acknowledge. */
static uint64_t read_isr(struct virtio_pci *pci)
{
	uint8_t isr = pci->isr;

	pci->isr = 0;
	return isr;
}

static uint64_t bar_read(struct device *dev, uint64_t offset, unsigned int size)
{
	struct virtio_pci *pci = pci_of(dev);

	if (offset == ISR)
		return read_isr(pci);
	switch (offset & ~(uint64_t)(PAGE - 1)) {
	case COMMON: return read_common(pci, offset - COMMON, size);
	case CONFIG: return virtio_read_config(pci->vdev, offset - CONFIG, size);
	case VECTORS:
		return offset < PENDING ? msix_read_table(&pci->msix, offset - VECTORS, size)
		                        : msix_read_pending(&pci->msix, offset - PENDING, size);
	default: return 0;
	}
}

static void bar_write(struct device *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	struct virtio_pci *pci = pci_of(dev);

	switch (offset & ~(uint64_t)(PAGE - 1)) {
	case COMMON: write_common(pci, offset - COMMON, size, value); break;
	case CONFIG: virtio_write_config(pci->vdev, offset - CONFIG, size, value); break;
	case NOTIFY: virtio_kick(pci->vdev, (unsigned int)(offset - NOTIFY) / MULTIPLIER); break;
	case VECTORS:
		msix_write_table(&pci->msix, offset - VECTORS, size, value);
		connect_calls(&pci->transport);
		break;
	default: break;
	}
}

static void bar_reset(struct device *dev)
{
	struct virtio_pci *pci = pci_of(dev);

	virtio_reset(pci->vdev);
	msix_reset(&pci->msix);
	forget(pci);
}

static const struct device_ops bar_ops = {
	.read = bar_read,
	.write = bar_write,
	.reset = bar_reset,
};

/* ---- the configuration space ---- */

static struct virtio_pci *pci_of_function(struct pci_function *function)
{
	return (struct virtio_pci *)((char *)function - offsetof(struct virtio_pci, function));
}

/* 4.1.4.9: the access that the guest has described there, of 1, 2 or 4 bytes; 0: none. */
static unsigned int window_access(const struct virtio_pci *pci, uint32_t *offset)
{
	const struct pci_function *function = &pci->function;
	uint32_t size = pci_get32(function, pci->window + VIRTIO_PCI_CAP_LENGTH);

	*offset = pci_get32(function, pci->window + VIRTIO_PCI_CAP_OFFSET);
	if ((size != 1 && size != 2 && size != 4) || *offset % size ||
		!range_within(*offset, size, 0, VIRTIO_PCI_BAR_SIZE) ||
		function->config[pci->window + VIRTIO_PCI_CAP_BAR])
		return 0;
	return size;
}

static bool touches_window(const struct virtio_pci *pci, unsigned int offset, unsigned int size)
{
	unsigned int data = pci->window + sizeof(struct virtio_pci_cap);

	return offset < data + 4 && offset + size > data;
}

static void config_reading(struct pci_function *function, unsigned int offset, unsigned int size)
{
	struct virtio_pci *pci = pci_of_function(function);
	uint32_t at;
	unsigned int n;

	if (!touches_window(pci, offset, size))
		return;
	n = window_access(pci, &at);
	if (n) {
		uint64_t value = bar_read(function->dev, at, n);

		memcpy(function->config + pci->window + sizeof(struct virtio_pci_cap), &value, n);
	}
}

static void config_written(struct pci_function *function, unsigned int offset, unsigned int size)
{
	struct virtio_pci *pci = pci_of_function(function);
	uint32_t at;
	unsigned int n;

	msix_config_written(&pci->msix);
	connect_calls(&pci->transport);
	if (!touches_window(pci, offset, size))
		return;
	n = window_access(pci, &at);
	if (n) {
		uint64_t value = 0;

		memcpy(&value, function->config + pci->window + sizeof(struct virtio_pci_cap), n);
		bar_write(function->dev, at, n, value);
	}
}

static void moved(struct pci_function *function)
{
	virtio_rebind(pci_of_function(function)->vdev);
}

static const struct pci_ops function_ops = {
	.reading = config_reading,
	.written = config_written,
	.moved = moved,
};

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct virtio_pci, offered_select, 1),
	STATE_FIELD(struct virtio_pci, features_select, 1),
	STATE_FIELD(struct virtio_pci, queue_select, 1),
	STATE_FIELD(struct virtio_pci, config_vector, 1),
	STATE_ARRAY(struct virtio_pci, queue_vector, 1),
	STATE_FIELD(struct virtio_pci, isr, 1),
	STATE_END,
};

const struct state_table virtio_pci_state = { "virtio-pci", 1, fields };

void virtio_pci_save(const struct virtio_pci *pci, struct state_writer *writer, uint32_t slot)
{
	state_save(writer, &virtio_pci_state, slot, pci);
	state_save(writer, &pci_function_state, pci->function.slot, &pci->function);
	state_save(writer, &msix_state, slot, &pci->msix);
}

int virtio_pci_load(
	struct virtio_pci *pci, struct state_reader *reader, uint32_t slot, struct diag *diag)
{
	int ret = state_load(reader, &virtio_pci_state, slot, pci, diag);

	if (!ret)
		ret = pci_load_function(&pci->function, reader, diag);
	if (!ret)
		ret = msix_load(&pci->msix, reader, slot, diag);
	if (ret)
		return ret;
	pci->config_vector = vector_of(pci, pci->config_vector);
	for (unsigned int i = 0; i < VIRTIO_MAX_QUEUES; i++)
		pci->queue_vector[i] = vector_of(pci, pci->queue_vector[i]);
	return 0;
}

/* ---- its making ---- */

/* `more` follows the capability's usual part. */
static unsigned int add_capability(struct virtio_pci *pci, uint8_t type, uint32_t offset,
	uint32_t length, const uint32_t *more)
{
	struct {
		struct virtio_pci_cap cap;
		uint32_t more;
	} body = {
		.cap = {
			.cap_len = (uint8_t)(sizeof(body.cap) + (more ? sizeof(*more) : 0)),
			.cfg_type = type,
			.offset = offset,
			.length = length,
		},
		.more = more ? *more : 0,
	};

	return pci_add_capability(&pci->function, PCI_CAP_ID_VNDR, &body, body.cap.cap_len);
}

static void add_capabilities(struct virtio_pci *pci)
{
	struct pci_function *function = &pci->function;
	uint32_t multiplier = MULTIPLIER, data = 0;

	add_capability(pci, VIRTIO_PCI_CAP_COMMON_CFG, COMMON, sizeof(struct common), NULL);
	add_capability(pci, VIRTIO_PCI_CAP_NOTIFY_CFG, NOTIFY, pci->vdev->n_queues * MULTIPLIER,
		&multiplier);
	add_capability(pci, VIRTIO_PCI_CAP_ISR_CFG, ISR, 1, NULL);
	/* All of a page, for Linux stops at a read beyond it, and EDK2 at a device without. */
	add_capability(pci, VIRTIO_PCI_CAP_DEVICE_CFG, CONFIG, PAGE, NULL);
	pci->window = add_capability(pci, VIRTIO_PCI_CAP_PCI_CFG, 0, 0, &data);
	function->writable[pci->window + VIRTIO_PCI_CAP_BAR] = 0xff;
	memset(function->writable + pci->window + VIRTIO_PCI_CAP_OFFSET, 0xff, 12);
}

/* For people and boot firmware; drivers go by the device's id. */
static uint32_t class_of(uint16_t id)
{
	switch (id) {
	case VIRTIO_ID_NET: return 0x020000;   /* network, Ethernet */
	case VIRTIO_ID_BLOCK: return 0x018000; /* mass storage, other */
	default: return 0xff0000;              /* in no class */
	}
}

void virtio_pci_init(struct virtio_pci *pci, struct virtio_dev *vdev, uint64_t base,
	int (*send)(void *ctx, uint64_t address, uint32_t data), void *ctx)
{
	uint16_t id = vdev->class->id;
	const struct pci_id pci_id = {
		.vendor = VENDOR,
		.device = DEVICE(id),
		.revision = REVISION,
		.class = class_of(id),
		.subsystem_vendor = VENDOR,
		.subsystem = (uint16_t)(SUBSYSTEM_ID + id),
	};

	*pci = (struct virtio_pci){
		.transport = {
			.signal_queue = signal_queue,
			.signal_config = signal_config,
			.doorbell = doorbell,
			.connect_calls = connect_calls,
		},
		.vdev = vdev,
	};
	pci_function_init(&pci->function, &pci_id, &vdev->dev, &function_ops);
	pci_set_bar(&pci->function, base, VIRTIO_PCI_BAR_SIZE);
	msix_init(&pci->msix, &pci->function, vdev->n_queues + 1, VECTORS, PENDING, send, ctx);
	add_capabilities(pci);
	forget(pci);
	vdev->transport = &pci->transport;
	vdev->dev.ops = &bar_ops;
}
