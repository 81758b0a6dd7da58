// SPDX-License-Identifier: MIT
/* virtio.c - what every virtio device has */

#include "virtio/virtio.h"

#include "util/error.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define RING_FEATURES                                                               \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_RING_RESET))

static bool is_running(const struct virtio_dev *dev)
{
	return dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
	       !(dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* One that is lost needs a reset, of which Linux takes no notice: it is to hear that what it asks
 * for fails, or it would wait for ever.
 */
static bool is_served(const struct virtio_dev *dev)
{
	return is_running(dev) || (dev->lost && dev->status & VIRTIO_CONFIG_S_DRIVER_OK);
}

/* ---- kicks ---- */

/* 1: one was served; 0: there is none; or as serve(). */
static int serve_next(struct virtio_dev *dev, struct virtq *vq)
{
	struct virtq_chain chain = { .iov = dev->iov, .max_iov = VIRTQ_MAX_CHAIN };
	int ret = virtq_pop(vq, &chain);

	if (ret <= 0)
		return ret;
	ret = dev->class->serve(dev, vq, &chain);
	if (ret == -EAGAIN)
		virtq_unpop(vq);
	return ret ? ret : 1;
}

void virtio_serve(struct virtio_dev *dev, struct virtq *vq)
{
	unsigned int n = 0;
	int ret;

	if (!is_served(dev) || !vq->enabled || dev->is_quiet)
		return;
	virtq_hush(vq);
	do
		for (ret = 1; ret > 0 && n < VIRTIO_BUDGET; n++)
			ret = serve_next(dev, vq);
	while (!ret && virtq_listen(vq));
	if (dev->class->served)
		dev->class->served(dev, vq);
	virtio_signal(dev, vq);
	if (ret > 0)
		virtio_kick_later(vq);
	else if (ret < 0 && ret != -EAGAIN)
		virtio_fail(dev, "a chain of descriptors is malformed");
}

/* Edge-triggered: each write to the eventfd is an event, and nobody has to read its counter. */
static int hear_kicks(struct virtio_queue *queue)
{
	return loop_add(queue->dev->env->loop, &queue->kick, EPOLLIN | EPOLLET);
}

static void kick_ready(void *ctx, uint32_t)
{
	struct virtio_queue *queue = ctx;

	virtio_serve(queue->dev, &queue->vq);
}

void virtio_kick_later(struct virtq *vq)
{
	loop_counter_add(((struct virtio_queue *)vq)->kick.fd);
}

void virtio_kick(struct virtio_dev *dev, unsigned int index)
{
	if (index >= dev->n_queues)
		return;
	if (dev->queue[index].at_once)
		virtio_serve(dev, &dev->queue[index].vq);
	else
		virtio_kick_later(&dev->queue[index].vq);
}

/* For what the driver has made available, of which nobody has heard. */
static void kick_pending(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->n_queues; i++)
		if (virtq_is_pending(&dev->queue[i].vq))
			virtio_kick(dev, i);
}

/* KVM changes its table of doorbells under a lock of all, which takes milliseconds to undo: so a
 * device that no driver takes never has one.
 */
static void bind_queue(struct virtio_queue *queue, bool on)
{
	struct virtio_dev *dev = queue->dev;
	unsigned int index = virtio_index(&queue->vq);

	if (queue->bound == on || queue->at_once)
		return;
	if (on && !dev->transport->doorbell(dev->transport, index, &queue->bell))
		return;
	queue->bound = !dev->env->bind(dev->env->ctx, &queue->bell, queue->kick.fd, on) && on;
}

static void connect_calls(struct virtio_dev *dev)
{
	if (dev->n_elsewhere && dev->env->irqfds && dev->transport->connect_calls)
		dev->transport->connect_calls(dev->transport);
}

static int open_kick(struct virtio_queue *queue)
{
	struct virtio_dev *dev = queue->dev;

	queue->kick = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = kick_ready,
		.ctx = queue,
		.lock = &dev->dev.lock,
	};
	if (queue->kick.fd < 0)
		return -errno;
	return queue < dev->queue + dev->n_elsewhere ? 0 : hear_kicks(queue);
}

/* ---- its making ---- */

static void close_queues(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->n_queues; i++)
		if (dev->queue[i].kick.fd >= 0)
			close(dev->queue[i].kick.fd);
	free(dev->queue);
	free(dev->iov);
	dev->queue = NULL;
	dev->iov = NULL;
}

int virtio_dev_init(struct virtio_dev *dev, const struct virtio_class *class,
	const struct virtio_env *env, uint64_t features, unsigned int n_queues, uint16_t queue_size,
	struct diag *diag)
{
	int ret = 0;

	BUG_ON(!n_queues || n_queues > VIRTIO_MAX_QUEUES);
	dev->class = class;
	dev->env = env;
	dev->offered = features | (dev->n_elsewhere ? 0 : RING_FEATURES);
	dev->queue = calloc(n_queues, sizeof(*dev->queue));
	dev->iov = malloc(VIRTQ_MAX_CHAIN * sizeof(*dev->iov));
	if (!dev->queue || !dev->iov) {
		free(dev->queue);
		free(dev->iov);
		return diag_fail(diag, ENOMEM, "out of memory");
	}
	dev->n_queues = n_queues;
	device_init(&dev->dev, class->name, NULL);
	for (unsigned int i = 0; i < n_queues; i++) {
		dev->queue[i].dev = dev;
		dev->queue[i].at_once = class->serves_at_once;
		dev->queue[i].kick.fd = -1;
		dev->queue[i].call.fd = -1;
		virtq_init(&dev->queue[i].vq, env->mem, queue_size);
	}
	for (unsigned int i = 0; i < n_queues && !ret; i++)
		ret = open_kick(&dev->queue[i]);
	if (!ret)
		return 0;
	virtio_dev_fini(dev);
	return diag_fail(diag, -ret, "eventfd: %s", error_text(-ret));
}

void virtio_dev_fini(struct virtio_dev *dev)
{
	close_queues(dev);
	device_fini(&dev->dev);
}

/* ---- for classes ---- */

void virtio_signal(struct virtio_dev *dev, struct virtq *vq)
{
	if (virtq_needs_signal(vq))
		dev->transport->signal_queue(dev->transport, virtio_index(vq));
}

static void tell_config(struct virtio_dev *dev)
{
	dev->owes_config = dev->is_quiet;
	if (dev->status & VIRTIO_CONFIG_S_DRIVER_OK && !dev->is_quiet)
		dev->transport->signal_config(dev->transport);
}

void virtio_config_changed(struct virtio_dev *dev)
{
	dev->config_generation++;
	tell_config(dev);
}

static void need_reset(struct virtio_dev *dev)
{
	if (dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)
		return;
	dev->status |= VIRTIO_CONFIG_S_NEEDS_RESET;
	tell_config(dev);
}

void virtio_fail(struct virtio_dev *dev, const char *why)
{
	counter_add(&dev->n_faults, 1);
	if (log_limit_ok(&dev->limit))
		log_warn("%s: the guest's driver broke the rules of virtio: %s; the device rests "
			 "until the guest resets it",
			dev->dev.name, why);
	need_reset(dev);
}

void virtio_tell_failure(const struct virtio_dev *dev, const char *why)
{
	if (dev->env->failed)
		dev->env->failed(dev->env->ctx, dev, why);
}

void virtio_lose(struct virtio_dev *dev, const char *why)
{
	BUG_ON(dev->lost || !dev->n_elsewhere);
	dev->lost = true;
	virtio_tell_failure(dev, why);
	need_reset(dev);
	for (unsigned int i = 0; i < dev->n_elsewhere; i++) {
		virtq_take_over(&dev->queue[i].vq);
		virtio_kick_later(&dev->queue[i].vq);
		if (hear_kicks(&dev->queue[i]))
			log_warn("%s: a queue is not heard any more", dev->dev.name);
	}
}

/* ---- features ---- */

uint32_t virtio_offered_word(const struct virtio_dev *dev, uint32_t word)
{
	return word < 2 ? (uint32_t)(dev->offered >> 32 * word) : 0;
}

uint32_t virtio_features_word(const struct virtio_dev *dev, uint32_t word)
{
	return word < 2 ? (uint32_t)(dev->features >> 32 * word) : 0;
}

/* Once they are agreed upon they stay (3.1.1). */
void virtio_set_features_word(struct virtio_dev *dev, uint32_t word, uint32_t value)
{
	if (word > 1 || dev->status & VIRTIO_CONFIG_S_FEATURES_OK)
		return;
	dev->features &= ~(UINT64_C(0xffffffff) << 32 * word);
	dev->features |= (uint64_t)value << 32 * word;
}

static bool features_are_ok(const struct virtio_dev *dev)
{
	return !dev->lost && !(dev->features & ~dev->offered) &&
	       virtio_has_feature(dev, VIRTIO_F_VERSION_1);
}

/* ---- status ---- */

static void start_queue(struct virtio_queue *queue)
{
	struct virtio_dev *dev = queue->dev;

	if (dev->class->start_queue && dev->class->start_queue(dev, &queue->vq) && !dev->lost)
		virtio_fail(dev, "a queue is not as it asks for");
	if (is_running(dev))
		bind_queue(queue, true);
}

static void start(struct virtio_dev *dev)
{
	if (dev->class->start && dev->class->start(dev) && !dev->lost)
		virtio_fail(dev, "its queues are not as it asks for");
	for (unsigned int i = 0; i < dev->n_queues; i++)
		if (is_running(dev) && dev->queue[i].vq.enabled)
			start_queue(&dev->queue[i]);
	connect_calls(dev);
	if (is_running(dev))
		kick_pending(dev);
}

/* Queues go on by what loaded() makes of them, not as they begin. */
int virtio_start_loaded(struct virtio_dev *dev, struct diag *diag)
{
	int ret = 0;

	if (is_running(dev) && dev->class->start && dev->class->start(dev))
		return diag_fail(diag, EIO, "its back end does not take it up");
	if (dev->class->loaded)
		ret = dev->class->loaded(dev, diag);
	if (ret || !is_running(dev))
		return ret;
	for (unsigned int i = 0; i < dev->n_queues; i++)
		if (dev->queue[i].vq.enabled)
			bind_queue(&dev->queue[i], true);
	connect_calls(dev);
	return 0;
}

void virtio_set_status(struct virtio_dev *dev, uint8_t status)
{
	uint8_t added = (uint8_t)(status & ~dev->status & ~VIRTIO_CONFIG_S_NEEDS_RESET);

	if (!status) {
		virtio_reset(dev);
		return;
	}
	if (added & VIRTIO_CONFIG_S_FEATURES_OK && !features_are_ok(dev))
		added &= (uint8_t)~VIRTIO_CONFIG_S_FEATURES_OK;
	/* Nothing runs by features that nobody agreed upon. */
	if (!((dev->status | added) & VIRTIO_CONFIG_S_FEATURES_OK))
		added &= (uint8_t)~VIRTIO_CONFIG_S_DRIVER_OK;
	dev->status |= added;
	if (added & VIRTIO_CONFIG_S_DRIVER_OK && is_running(dev))
		start(dev);
}

/* ---- queues ---- */

struct virtq *virtio_queue(struct virtio_dev *dev, uint32_t index)
{
	return index < dev->n_queues ? &dev->queue[index].vq : NULL;
}

void virtio_enable_queue(struct virtio_dev *dev, uint32_t index)
{
	struct virtq *vq = virtio_queue(dev, index);

	if (!vq || vq->enabled || !(dev->status & VIRTIO_CONFIG_S_FEATURES_OK))
		return;
	if (virtq_enable(vq, virtio_has_feature(dev, VIRTIO_RING_F_EVENT_IDX))) {
		virtio_fail(dev, "a queue's rings are not aligned, or not in RAM");
		return;
	}
	if (is_running(dev)) {
		start_queue(&dev->queue[index]);
		connect_calls(dev);
	}
}

void virtio_rebind(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->n_queues; i++) {
		bind_queue(&dev->queue[i], false);
		if (is_running(dev) && dev->queue[i].vq.enabled)
			bind_queue(&dev->queue[i], true);
	}
}

static void stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	if (vq->enabled && dev->class->stop_queue)
		dev->class->stop_queue(dev, vq);
	virtq_reset(vq);
}

void virtio_reset_queue(struct virtio_dev *dev, uint32_t index)
{
	bool was_called;

	if (index >= dev->n_queues)
		return;
	was_called = dev->queue[index].is_called;
	bind_queue(&dev->queue[index], false);
	stop_queue(dev, &dev->queue[index].vq);
	if (was_called && !dev->queue[index].is_called)
		connect_calls(dev);
}

void virtio_reset(struct virtio_dev *dev)
{
	dev->is_ending = true;
	for (unsigned int i = 0; i < dev->n_queues; i++)
		virtio_reset_queue(dev, i);
	dev->is_ending = false;
	if (dev->class->reset)
		dev->class->reset(dev);
	dev->features = 0;
	dev->status = 0;
	dev->owes_config = false;
}

/* ---- the machine's pause ---- */

/* Last, as what is done yet is to be told. */
void virtio_quiesce(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->dev.lock);
	if (dev->class->quiesce)
		dev->class->quiesce(dev);
	dev->is_quiet = true;
	pthread_mutex_unlock(&dev->dev.lock);
}

/* The kicks that came while it was quiet were heard and not followed. */
void virtio_resume(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->dev.lock);
	dev->is_quiet = false;
	if (dev->class->resume)
		dev->class->resume(dev);
	if (dev->owes_config)
		tell_config(dev);
	kick_pending(dev);
	pthread_mutex_unlock(&dev->dev.lock);
}

/* ---- its end ---- */

void virtio_close(struct virtio_dev *dev)
{
	pthread_mutex_lock(&dev->dev.lock);
	dev->is_ending = true;
	for (unsigned int i = 0; i < dev->n_queues; i++)
		stop_queue(dev, &dev->queue[i].vq);
	pthread_mutex_unlock(&dev->dev.lock);
	dev->class->close(dev);
}

/* ---- configuration space ---- */

uint64_t virtio_read_config(const struct virtio_dev *dev, uint64_t offset, unsigned int size)
{
	uint64_t value = 0;

	if (offset >= dev->config_size)
		return 0;
	if (size > dev->config_size - offset)
		size = (unsigned int)(dev->config_size - offset);
	memcpy(&value, (const char *)dev->config + offset, size);
	return value;
}

void virtio_write_config(struct virtio_dev *dev, uint64_t offset, unsigned int size, uint64_t value)
{
	if (dev->class->write_config && range_within(offset, size, 0, dev->config_size))
		dev->class->write_config(dev, (uint32_t)offset, size, value);
}
