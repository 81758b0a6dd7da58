/* SPDX-License-Identifier: MIT */
/* virtio_dev_rig.h - the fake device at a transport that counts, for test_virtio*.c */
#ifndef TESTS_UNIT_VIRTIO_DEV_RIG_H
#define TESTS_UNIT_VIRTIO_DEV_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio_fake.h"

#define RING_BITS                                                                   \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) | VIRTIO_BIT(VIRTIO_F_RING_RESET))
#define VERSION_1 VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* ---- a transport that counts ---- */

struct signal_counter {
	struct virtio_transport transport; /* first */
	unsigned int n_signals[FAKE_QUEUES], n_config_signals;
};

static void count_signal(struct virtio_transport *transport, unsigned int index)
{
	((struct signal_counter *)transport)->n_signals[index]++;
}

static void count_config(struct virtio_transport *transport)
{
	((struct signal_counter *)transport)->n_config_signals++;
}

static bool ring_bell(
	const struct virtio_transport *transport, unsigned int i, struct virtio_doorbell *bell)
{
	*bell = (struct virtio_doorbell){ 0x1000, 4, true, i };
	return true;
}

struct rig {
	struct fake_machine *machine;
	struct virtio_dev *dev;
	struct fake *fake;
	struct rig_ring *ring; /* the first of two */
	struct signal_counter counter;
	/* Someone else in the loop, who always has something to do. */
	struct loop_source other;
	unsigned int n_other, stop_at, served_before[8];
};

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig->machine = fake_machine_create();
	rig->fake = &rig->machine->fake;
	rig->dev = &rig->fake->dev;
	rig->ring = rig->machine->ring;
	rig->counter.transport = (struct virtio_transport){
		.signal_queue = count_signal, .signal_config = count_config, .doorbell = ring_bell
	};
	rig->dev->transport = &rig->counter.transport;
	*state = rig;
	return 0;
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	fake_machine_destroy(rig->machine);
	free(rig);
	return 0;
}

/* ---- what a driver does ---- */

static inline void set_features(struct rig *rig, uint64_t features)
{
	virtio_set_features_word(rig->dev, 0, (uint32_t)features);
	virtio_set_features_word(rig->dev, 1, (uint32_t)(features >> 32));
}

static inline void agree(struct rig *rig, uint64_t features)
{
	virtio_set_status(rig->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_set_status(rig->dev, S_DRIVER);
	set_features(rig, features);
	virtio_set_status(rig->dev, S_FEATURES_OK);
}

static inline void enable(struct rig *rig, unsigned int index)
{
	const struct rig_ring *old = &rig->ring[index];

	rig_ring_init(&rig->ring[index], &rig->machine->mem, old->desc_at, old->size);
	rig_place(&rig->ring[index], virtio_queue(rig->dev, index));
	virtio_enable_queue(rig->dev, index);
}

/* Features, both queues, ready. */
static inline void bring_up(struct rig *rig, uint64_t features)
{
	agree(rig, features);
	enable(rig, 0);
	enable(rig, 1);
	virtio_set_status(rig->dev, S_RUNNING);
	assert_int_equal(rig->dev->status, S_RUNNING);
}

static inline void offer(struct rig *rig, unsigned int index, unsigned int n)
{
	struct rig_ring *ring = &rig->ring[index];

	while (n--)
		rig_offer_one(ring, ring->n_offered % ring->size, 0x20000, 4, VRING_DESC_F_WRITE);
}

static inline void kick(struct rig *rig, unsigned int index)
{
	virtio_kick(rig->dev, index);
	fake_run_loop(rig->machine);
}

/* It has failed, and does nothing whatever the driver does. */
static inline void check_dead(struct rig *rig)
{
	unsigned int n = rig->fake->n_serve;

	offer(rig, 1, 1);
	kick(rig, 0);
	kick(rig, 1);
	virtio_set_status(rig->dev, S_RUNNING);
	kick(rig, 1);
	assert_true(rig->dev->status & S_FAILED);
	assert_int_equal(rig->fake->n_serve, n);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
