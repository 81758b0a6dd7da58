// SPDX-License-Identifier: MIT
/* virtio_state.c - what every virtio device has, into a file and out of it */

#include "virtio/virtio.h"

#include <errno.h>

static const struct state_field queue_fields[] = {
	STATE_FIELD(struct virtq, size, 1),
	STATE_FIELD(struct virtq, desc_at, 1),
	STATE_FIELD(struct virtq, avail_at, 1),
	STATE_FIELD(struct virtq, used_at, 1),
	STATE_BOOL(struct virtq, enabled, 1),
	STATE_FIELD(struct virtq, next_avail, 1),
	STATE_FIELD(struct virtq, next_used, 1),
	STATE_FIELD(struct virtq, signalled, 1),
	STATE_BOOL(struct virtq, must_signal, 1),
	STATE_END,
};

const struct state_table virtq_state = { "virtq", 1, queue_fields };

static const struct state_field dev_fields[] = {
	STATE_FIELD(struct virtio_dev, features, 1),
	STATE_FIELD(struct virtio_dev, status, 1),
	STATE_FIELD(struct virtio_dev, config_generation, 1),
	STATE_BOOL(struct virtio_dev, owes_config, 1),
	STATE_FIELD(struct virtio_dev, n_queues, 1),
	STATE_END,
};

const struct state_table virtio_state = { "virtio", 1, dev_fields };

static uint32_t queue_instance(uint32_t slot, unsigned int index)
{
	return slot * VIRTIO_MAX_QUEUES + index;
}

const char *virtio_why_not_saved(const struct virtio_dev *dev)
{
	if (dev->lost)
		return "what was behind it on the host is gone";
	return dev->class->why_stays ? dev->class->why_stays(dev) : NULL;
}

int virtio_save(
	struct virtio_dev *dev, struct state_writer *writer, uint32_t slot, struct diag *diag)
{
	int ret;

	pthread_mutex_lock(&dev->dev.lock);
	ret = dev->class->saving ? dev->class->saving(dev, diag) : 0;
	state_save(writer, &virtio_state, slot, dev);
	for (unsigned int i = 0; i < dev->n_queues; i++)
		state_save(writer, &virtq_state, queue_instance(slot, i), &dev->queue[i].vq);
	if (dev->class->state)
		state_save(writer, dev->class->state, slot, dev);
	pthread_mutex_unlock(&dev->dev.lock);
	return ret;
}

/* ---- loading ---- */

/* What is agreed upon is what was offered; until then a driver may write what it likes. */
static int check_features(const struct virtio_dev *dev, uint64_t features, struct diag *diag)
{
	if (features & ~dev->offered)
		return diag_fail(diag, ENOTSUP,
			"its driver uses features that it does not offer any more: bits 0x%llx",
			(unsigned long long)(features & ~dev->offered));
	if (!(features & VIRTIO_BIT(VIRTIO_F_VERSION_1)))
		return diag_fail(diag, EBADMSG, "its features are none that can be agreed upon");
	return 0;
}

/* What a driver could have brought about, and no more. */
static int load_status(struct virtio_dev *dev, const struct virtio_dev *saved, struct diag *diag)
{
	bool is_agreed = saved->status & VIRTIO_CONFIG_S_FEATURES_OK;
	int ret = is_agreed ? check_features(dev, saved->features, diag) : 0;

	if (ret)
		return ret;
	if (saved->n_queues != dev->n_queues)
		return diag_fail(diag, EINVAL, "it has %u queues, and had %u", dev->n_queues,
			saved->n_queues);
	if (saved->status & VIRTIO_CONFIG_S_DRIVER_OK && !is_agreed)
		return diag_fail(diag, EBADMSG, "its status is none that a driver can have set");
	dev->features = saved->features;
	dev->status = saved->status;
	return 0;
}

static int load_queue(struct virtio_dev *dev, unsigned int index, struct state_reader *reader,
	uint32_t slot, struct diag *diag)
{
	struct virtq *vq = &dev->queue[index].vq, saved = { 0 };
	bool event_idx = virtio_has_feature(dev, VIRTIO_RING_F_EVENT_IDX);
	int ret = state_load(reader, &virtq_state, queue_instance(slot, index), &saved, diag);

	if (ret)
		return ret;
	vq->size = saved.size;
	vq->desc_at = saved.desc_at;
	vq->avail_at = saved.avail_at;
	vq->used_at = saved.used_at;
	if (!saved.enabled)
		return 0;
	if (!(dev->status & VIRTIO_CONFIG_S_FEATURES_OK) || virtq_enable(vq, event_idx) ||
		(uint16_t)(saved.next_avail - saved.next_used) > saved.size)
		return diag_fail(
			diag, EBADMSG, "queue %u is none that a driver can have set up", index);
	vq->next_avail = saved.next_avail;
	vq->next_used = saved.next_used;
	vq->signalled = saved.signalled;
	vq->must_signal = saved.must_signal;
	return 0;
}

static int load(
	struct virtio_dev *dev, struct state_reader *reader, uint32_t slot, struct diag *diag)
{
	struct virtio_dev saved = { 0 };
	int ret = state_load(reader, &virtio_state, slot, &saved, diag);

	dev->is_quiet = true;
	if (!ret)
		ret = load_status(dev, &saved, diag);
	for (unsigned int i = 0; i < dev->n_queues && !ret; i++)
		ret = load_queue(dev, i, reader, slot, diag);
	if (!ret && dev->class->state)
		ret = state_load(reader, dev->class->state, slot, dev, diag);
	if (!ret)
		ret = virtio_start_loaded(dev, diag);
	dev->config_generation = saved.config_generation;
	dev->owes_config |= saved.owes_config;
	return ret;
}

int virtio_load(
	struct virtio_dev *dev, struct state_reader *reader, uint32_t slot, struct diag *diag)
{
	struct diag why;
	int ret;

	pthread_mutex_lock(&dev->dev.lock);
	ret = load(dev, reader, slot, &why);
	pthread_mutex_unlock(&dev->dev.lock);
	return ret ? diag_fail(diag, -ret, "%s in slot %u: %s", dev->dev.name, slot, why.text) : 0;
}
