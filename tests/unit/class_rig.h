/* SPDX-License-Identifier: MIT */
/* class_rig.h - a device of some class, brought up, with rings in its guest's memory
 *
 * For unit tests of classes; needs cmocka.h before it.
 */
#ifndef TESTS_UNIT_CLASS_RIG_H
#define TESTS_UNIT_CLASS_RIG_H

#include "state_rig.h"
#include "virtio/virtio.h"
#include "virtio_rig.h"

#include <stdlib.h>

#define CLASS_RINGS 5

struct class_rig {
	struct virtio_transport transport; /* first */
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct virtio_dev *dev;
	struct rig_ring ring[CLASS_RINGS]; /* each in a page, from 0x1000 on */
	unsigned int n_signals, n_config_signals;
};

static inline void class_signal_queue(struct virtio_transport *transport, unsigned int)
{
	((struct class_rig *)transport)->n_signals++;
}

static inline void class_signal_config(struct virtio_transport *transport)
{
	((struct class_rig *)transport)->n_config_signals++;
}

static inline bool class_doorbell(
	const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static inline int class_bind(void *, const struct virtio_doorbell *, int, bool)
{
	return -1;
}

static inline struct class_rig *class_rig_create(void)
{
	struct class_rig *rig = calloc(1, sizeof(*rig));

	rig_mem_init(&rig->mem);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){ .mem = &rig->mem, .loop = &rig->loop, .bind = class_bind };
	rig->transport = (struct virtio_transport){
		.signal_queue = class_signal_queue,
		.signal_config = class_signal_config,
		.doorbell = class_doorbell,
	};
	return rig;
}

/* As a driver that takes these features and all queues. */
static inline void class_rig_start(struct class_rig *rig, uint64_t features)
{
	struct virtio_dev *dev = rig->dev;

	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	virtio_set_features_word(dev, 0, (uint32_t)features);
	virtio_set_features_word(
		dev, 1, (uint32_t)(features >> 32) | 1u << (VIRTIO_F_VERSION_1 - 32));
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(dev->status & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < dev->n_queues; i++) {
		rig_ring_init(&rig->ring[i], &rig->mem, 0x1000 * (i + 1), 64);
		rig_place(&rig->ring[i], virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
	}
	virtio_set_status(dev, dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
	rig->n_signals = rig->n_config_signals = 0;
}

static inline void class_rig_open(
	struct class_rig *rig, const struct virtio_class *class, const void *options)
{
	struct diag diag;

	rig->dev = class->open(options, &rig->env, &diag);
	assert_non_null(rig->dev);
	rig->dev->transport = &rig->transport;
}

/* The device is saved, and is gone. */
static inline struct state_writer class_rig_save(struct class_rig *rig)
{
	struct state_writer file = rig_save(rig->dev);

	virtio_close(rig->dev);
	rig->dev = NULL;
	return file;
}

/* Another by these options takes its place, over the same memory; it is quiet. */
static inline int class_rig_load(struct class_rig *rig, const struct virtio_class *class,
	const void *options, const struct state_writer *file, struct diag *diag)
{
	if (rig->dev)
		virtio_close(rig->dev);
	class_rig_open(rig, class, options);
	rig->n_signals = rig->n_config_signals = 0;
	return rig_load(file, rig->dev, diag);
}

/* Both, and it goes on. */
static inline void class_rig_move(
	struct class_rig *rig, const struct virtio_class *class, const void *options)
{
	struct state_writer file = class_rig_save(rig);
	struct diag diag;

	if (class_rig_load(rig, class, options, &file, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(rig->dev);
	state_free(&file);
}

static inline void class_rig_destroy(struct class_rig *rig)
{
	if (rig->dev)
		virtio_close(rig->dev);
	loop_fini(&rig->loop);
	rig_mem_fini(&rig->mem);
	free(rig);
}

static inline void class_rig_serve(struct class_rig *rig, unsigned int queue)
{
	virtio_serve(rig->dev, virtio_queue(rig->dev, queue));
}

/* What the loop has to do within `ms`; false: nothing. */
static inline bool class_rig_turn(struct class_rig *rig, int ms)
{
	struct epoll_event event;
	struct loop_source *source;

	if (epoll_wait(rig->loop.epoll_fd, &event, 1, ms) <= 0)
		return false;
	source = event.data.ptr;
	source->ready(source->ctx, event.events);
	return true;
}

#endif
