/* SPDX-License-Identifier: MIT */
/* virtio_fake.h - a virtio device that counts what it is asked, and a machine for it
 *
 * For unit tests; needs cmocka.h before it.
 */
#ifndef TESTS_UNIT_VIRTIO_FAKE_H
#define TESTS_UNIT_VIRTIO_FAKE_H

#include "virtio/virtio.h"
#include "virtio_rig.h"

#include <errno.h>
#include <stdlib.h>

#define FAKE_QUEUES     2
#define FAKE_QUEUE_SIZE 1024
#define FAKE_ID         42
#define FAKE_CONFIG     13 /* bytes: whatever is asked for, it is cut somewhere */
#define FAKE_FEATURES   (VIRTIO_BIT(3) | VIRTIO_BIT(50))

/* Status as a driver that keeps the order writes it. */
#define S_DRIVER      (VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER)
#define S_FEATURES_OK (S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK)
#define S_RUNNING     (S_FEATURES_OK | VIRTIO_CONFIG_S_DRIVER_OK)
#define S_FAILED      VIRTIO_CONFIG_S_NEEDS_RESET

struct fake {
	struct virtio_dev dev; /* first */
	uint8_t config[FAKE_CONFIG];

	/* What it is to do. */
	int serve_ret, start_ret;
	bool holds; /* chains, until they are returned by others */

	/* What it was asked. */
	unsigned int n_serve, n_started, n_reset, n_closed, n_writes, n_quiesced, n_resumed;
	unsigned int turn[8], n_turns; /* chains before each served() */
	unsigned int n_stopped[FAKE_QUEUES];
	struct virtq_chain last;
	uint32_t write_offset;
	unsigned int write_size;
	uint64_t write_value;
};

struct fake_machine {
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	int bind_ret;
	unsigned int n_binds, n_unbinds;
	bool bound[FAKE_QUEUES];
	struct rig_ring ring[FAKE_QUEUES];
	struct fake fake;
};

/* ---- the class ---- */

static inline unsigned int fake_index(const struct virtio_dev *dev, const struct virtq *vq)
{
	return (unsigned int)((const struct virtio_queue *)vq - dev->queue);
}

static int fake_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct fake *fake = (struct fake *)dev;

	assert_int_equal(pthread_mutex_trylock(&dev->dev.lock), EBUSY);
	assert_true(vq->enabled && dev->status == S_RUNNING);
	fake->n_serve++;
	fake->turn[fake->n_turns % ARRAY_SIZE(fake->turn)]++;
	fake->last = *chain;
	if (!fake->serve_ret && !fake->holds)
		virtq_push(vq, chain->head, (uint32_t)chain->in_size);
	return fake->serve_ret;
}

static void fake_served(struct virtio_dev *dev, struct virtq *)
{
	((struct fake *)dev)->n_turns++;
}

static int fake_start(struct virtio_dev *dev)
{
	struct fake *fake = (struct fake *)dev;

	fake->n_started++;
	return fake->start_ret;
}

static void fake_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	assert_true(vq->enabled);
	((struct fake *)dev)->n_stopped[fake_index(dev, vq)]++;
	virtio_set_called(vq, false);
}

static void fake_reset(struct virtio_dev *dev)
{
	for (unsigned int i = 0; i < dev->n_queues; i++)
		assert_false(dev->queue[i].vq.enabled);
	((struct fake *)dev)->n_reset++;
}

/* What it holds is done; the last of it. */
static void fake_quiesce(struct virtio_dev *dev)
{
	struct fake *fake = (struct fake *)dev;
	struct virtq *vq = virtio_queue(dev, 0);

	assert_int_equal(pthread_mutex_trylock(&dev->dev.lock), EBUSY);
	fake->n_quiesced++;
	if (!fake->holds || vq->next_avail == vq->next_used)
		return;
	virtq_push(vq, fake->last.head, 1);
	virtio_signal(dev, vq);
}

static void fake_resume(struct virtio_dev *dev)
{
	assert_int_equal(pthread_mutex_trylock(&dev->dev.lock), EBUSY);
	((struct fake *)dev)->n_resumed++;
}

static void fake_write_config(
	struct virtio_dev *dev, uint32_t offset, unsigned int size, uint64_t value)
{
	struct fake *fake = (struct fake *)dev;

	assert_true(offset + size <= FAKE_CONFIG);
	fake->n_writes++;
	fake->write_offset = offset;
	fake->write_size = size;
	fake->write_value = value;
}

static void fake_close(struct virtio_dev *dev)
{
	((struct fake *)dev)->n_closed++;
	virtio_dev_fini(dev);
}

static const struct virtio_class fake_class = {
	.name = "fake",
	.id = FAKE_ID,
	.serve = fake_serve,
	.served = fake_served,
	.start = fake_start,
	.stop_queue = fake_stop_queue,
	.reset = fake_reset,
	.quiesce = fake_quiesce,
	.resume = fake_resume,
	.write_config = fake_write_config,
	.close = fake_close,
};

/* ---- the machine ---- */

/* A doorbell says by its match which queue's it is. */
static int fake_bind(void *ctx, const struct virtio_doorbell *bell, int fd, bool on)
{
	struct fake_machine *machine = ctx;

	assert_true(bell->has_match && bell->match < FAKE_QUEUES);
	assert_int_equal(fd, machine->fake.dev.queue[bell->match].kick.fd);
	assert_int_equal(machine->bound[bell->match], !on);
	*(on ? &machine->n_binds : &machine->n_unbinds) += 1;
	if (machine->bind_ret)
		return machine->bind_ret;
	machine->bound[bell->match] = on;
	return 0;
}

/* The caller gives the device a transport. */
static inline struct fake_machine *fake_machine_create(void)
{
	struct fake_machine *machine = calloc(1, sizeof(*machine));
	struct fake *fake = &machine->fake;
	struct diag diag;

	rig_mem_init(&machine->mem);
	assert_int_equal(loop_init(&machine->loop), 0);
	machine->env = (struct virtio_env){
		.mem = &machine->mem, .loop = &machine->loop, .bind = fake_bind, .ctx = machine
	};
	for (unsigned int i = 0; i < FAKE_CONFIG; i++)
		fake->config[i] = (uint8_t)(0xa0 + i);
	fake->dev.config = fake->config;
	fake->dev.config_size = FAKE_CONFIG;
	assert_int_equal(virtio_dev_init(&fake->dev, &fake_class, &machine->env, FAKE_FEATURES,
				 FAKE_QUEUES, FAKE_QUEUE_SIZE, &diag),
		0);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++)
		rig_ring_init(&machine->ring[i], &machine->mem, 0x1000 + i * 0x8000u, 8);
	return machine;
}

static inline void fake_machine_destroy(struct fake_machine *machine)
{
	assert_int_equal(pthread_mutex_trylock(&machine->fake.dev.dev.lock), 0); /* given back */
	pthread_mutex_unlock(&machine->fake.dev.dev.lock);
	virtio_close(&machine->fake.dev);
	assert_int_equal(machine->fake.n_closed, 1);
	loop_fini(&machine->loop);
	rig_mem_fini(&machine->mem);
	free(machine);
}

static inline void fake_loop_rests(void *ctx)
{
	loop_stop(ctx);
}

/* Until nothing is left to do. */
static inline void fake_run_loop(struct fake_machine *machine)
{
	machine->loop.stopped = false;
	loop_when_quiet(&machine->loop, 0, fake_loop_rests, &machine->loop);
	assert_int_equal(loop_run(&machine->loop), 0);
}

#endif
