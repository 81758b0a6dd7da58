/* SPDX-License-Identifier: MIT */
/* class_machine.h - a device of some class, and a driver of it that keeps no rule
 *
 * What the targets of one class have alike.  Rings lie in a page each from 0x1000 on; what their
 * descriptors say, and when they are offered, is the input's.
 */
#ifndef FUZZ_CLASS_MACHINE_H
#define FUZZ_CLASS_MACHINE_H

#include "../tests/unit/virtio_rig.h"
#include "input.h"
#include "virtio/virtio.h"

#include "util/iov.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#define CLASS_MAX_RINGS 5

struct class_machine {
	struct virtio_transport transport; /* first */
	struct guest_mem mem;
	struct loop loop;
	struct virtio_env env;
	struct virtio_dev *dev;
	struct rig_ring ring[CLASS_MAX_RINGS];
	struct virtio_class class; /* the device's, as the target changes it */
	int first_fd;              /* the lowest that was free at first */
};

/* ---- what it is in ---- */

static void no_signal(struct virtio_transport *, unsigned int)
{
}

static void no_config_signal(struct virtio_transport *)
{
}

static bool no_doorbell(const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static int no_bind(void *, const struct virtio_doorbell *, int, bool)
{
	return -ENOTTY;
}

static int lowest_fd(void)
{
	int fd = dup(STDERR_FILENO);

	close(fd);
	return fd;
}

static inline void machine_init(struct class_machine *m)
{
	*m = (struct class_machine){
		.transport = { .signal_queue = no_signal,
			.signal_config = no_config_signal,
			.doorbell = no_doorbell },
		.env = { .mem = &m->mem, .loop = &m->loop, .bind = no_bind },
		.first_fd = lowest_fd(),
	};
	rig_mem_init(&m->mem);
	BUG_ON(loop_init(&m->loop));
	log_set_level(LOG_LEVEL_ERROR);
}

/* The device, with `serve` in place of its class's, which may look, and then calls it. */
static inline void machine_plug(struct class_machine *m, struct virtio_dev *dev,
	int (*serve)(struct virtio_dev *, struct virtq *, const struct virtq_chain *))
{
	BUG_ON(!dev);
	m->class = *dev->class;
	if (serve)
		m->class.serve = serve;
	dev->class = &m->class;
	dev->transport = &m->transport;
	m->dev = dev;
}

/* After the device is closed.  No file of it is open any more. */
static inline void machine_fini(struct class_machine *m)
{
	loop_fini(&m->loop);
	rig_mem_fini(&m->mem);
	BUG_ON(lowest_fd() != m->first_fd);
}

/* ---- what happens ---- */

static void rests(void *ctx)
{
	loop_stop(ctx);
}

/* Until nothing is left to do; a device that always has something would turn for ever. */
static inline void machine_run(struct class_machine *m)
{
	m->loop.stopped = false;
	loop_when_quiet(&m->loop, 0, rests, &m->loop);
	BUG_ON(loop_run(&m->loop));
}

static inline void machine_lock(struct class_machine *m)
{
	pthread_mutex_lock(&m->dev->dev.lock);
}

static inline void machine_unlock(struct class_machine *m)
{
	pthread_mutex_unlock(&m->dev->dev.lock);
}

/* A driver comes up, whatever was before, and takes these features as far as they are offered. */
static inline void machine_start(struct class_machine *m, uint64_t features, uint16_t size)
{
	struct virtio_dev *dev = m->dev;

	machine_lock(m);
	virtio_set_status(dev, 0);
	features = (features & dev->offered) | VIRTIO_BIT(VIRTIO_F_VERSION_1);
	virtio_set_status(dev, VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER);
	for (uint32_t word = 0; word < 2; word++)
		virtio_set_features_word(dev, word, (uint32_t)(features >> 32 * word));
	virtio_set_status(dev, VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < dev->n_queues; i++) {
		rig_ring_init(&m->ring[i], &m->mem, 0x1000 * (i + 1), size);
		rig_place(&m->ring[i], virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
	}
	virtio_set_status(dev, VIRTIO_CONFIG_S_DRIVER_OK);
	machine_unlock(m);
}

/* A queue is reset, and placed again. */
static inline void machine_reset_queue(struct class_machine *m, unsigned int queue)
{
	struct rig_ring *ring = &m->ring[queue];

	machine_lock(m);
	virtio_reset_queue(m->dev, queue);
	rig_ring_init(ring, &m->mem, ring->desc_at, ring->size);
	rig_place(ring, virtio_queue(m->dev, queue));
	virtio_enable_queue(m->dev, queue);
	machine_unlock(m);
}

/* A descriptor: its number, where it points (2 bytes, of 8) from `base` on, its length (2 bytes,
 * times `scale`), flags, next.
 */
static inline struct vring_desc *machine_describe(struct class_machine *m, unsigned int queue,
	gpa_t base, uint32_t scale, struct fuzz_input *input)
{
	const struct rig_ring *ring = &m->ring[queue];
	struct vring_desc *desc = rig_desc(ring, take8(input) % ring->size);

	desc->addr = base + take16(input) * UINT64_C(8);
	desc->len = take16(input) * scale;
	desc->flags = take8(input);
	desc->next = take8(input);
	return desc;
}

/* The device is kicked, and all is done that can be. */
static inline void machine_kick(struct class_machine *m, unsigned int queue)
{
	machine_lock(m);
	virtio_kick(m->dev, queue);
	machine_unlock(m);
	machine_run(m);
}

/* `times` chains that begin with one head and those after it. */
static inline void machine_offer(
	struct class_machine *m, unsigned int queue, uint8_t head, unsigned int times)
{
	while (times-- > 0)
		rig_offer(&m->ring[queue], (uint16_t)(head + times));
	machine_kick(m, queue);
}

/* ---- what holds ---- */

static inline bool machine_runs(const struct class_machine *m)
{
	return (m->dev->status & (VIRTIO_CONFIG_S_DRIVER_OK | VIRTIO_CONFIG_S_NEEDS_RESET)) ==
	       VIRTIO_CONFIG_S_DRIVER_OK;
}

static inline void machine_check(struct class_machine *m)
{
	BUG_ON(pthread_mutex_trylock(&m->dev->dev.lock));
	machine_unlock(m);
	for (unsigned int i = 0; i < m->dev->n_queues; i++) {
		const struct virtq *vq = virtio_queue(m->dev, i);

		BUG_ON((uint16_t)(vq->next_avail - vq->next_used) > vq->size);
	}
}

static inline bool segments_overlap(const struct iovec *iov, unsigned int n)
{
	for (unsigned int i = 0; i < n && n <= 16; i++)
		for (unsigned int j = 0; j < i; j++)
			if ((uintptr_t)iov[i].iov_base <
					(uintptr_t)iov[j].iov_base + iov[j].iov_len &&
				(uintptr_t)iov[j].iov_base <
					(uintptr_t)iov[i].iov_base + iov[i].iov_len)
				return true;
	return n > 16;
}

/* What the driver was given by the chain that was just pushed; 0: that cannot be seen any more. */
static inline size_t machine_given(
	const struct virtq *vq, const struct virtq_chain *chain, uint8_t *data, size_t room)
{
	size_t size = vq->used->ring[(vq->next_used - 1) & (vq->size - 1)].len;

	BUG_ON(size > chain->in_size || size > room);
	if (segments_overlap(chain->iov + chain->n_out, chain->n_in))
		return 0;
	return iov_read(chain->iov + chain->n_out, chain->n_in, data, size);
}

/* ---- a place for sockets and files ---- */

static char machine_dir[40];

static void remove_machine_dir(void)
{
	rmdir(machine_dir);
}

static inline void make_machine_dir(void)
{
	if (*machine_dir)
		return;
	memcpy(machine_dir, "/dev/shm/fuzz-XXXXXX", sizeof("/dev/shm/fuzz-XXXXXX"));
	BUG_ON(!mkdtemp(machine_dir));
	atexit(remove_machine_dir);
}

#endif
