/* SPDX-License-Identifier: MIT */
/* blk_rig.h - a virtio disk and its driver, for test_blk*.c */
#ifndef TESTS_UNIT_BLK_RIG_H
#define TESTS_UNIT_BLK_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/blk.h"

#include "skip.h"
#include "util/file.h"
#include "virtio_rig.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR    512u
#define N_SECTORS 2048u
#define N_QUEUES  2 /* at most, here */

/* The guest's memory.  A request has two streams: what the device reads, and what it writes. */
#define RING(i)   (0x1000 + 0x2000ull * (i))
#define OUT(slot) (0x10000 + 0x1000ull * (slot))
#define IN(slot)  (RIG_HIGH + 0x1000ull * (slot))
#define N_SLOTS   32

#define HEADER sizeof(struct virtio_blk_outhdr)

struct rig {
	struct guest_mem mem;
	struct rig_ring ring[N_QUEUES];
	uint16_t next_desc[N_QUEUES];
	struct loop loop;
	struct virtio_env env;
	struct virtio_transport transport; /* of the device, which signals by it */
	struct virtio_dev *dev;
	struct blk_options options;
	char path[40];
	int fd; /* the image, as others see it */
	unsigned int n_signals[N_QUEUES], n_config_signals;
};

/* ---- the transport ---- */

static inline struct rig *rig_of(const struct virtio_transport *transport)
{
	return (struct rig *)((char *)transport - offsetof(struct rig, transport));
}

static inline void rig_signal_queue(struct virtio_transport *transport, unsigned int index)
{
	rig_of(transport)->n_signals[index]++;
	loop_stop(&rig_of(transport)->loop);
}

static inline void rig_signal_config(struct virtio_transport *transport)
{
	rig_of(transport)->n_config_signals++;
	loop_stop(&rig_of(transport)->loop);
}

static inline bool rig_doorbell(
	const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static inline int rig_bind(void *, const struct virtio_doorbell *, int, bool)
{
	return -ENOSYS;
}

/* ---- the machine ---- */

static const enum disk_engine rig_engines[] = { DISK_ENGINE_SYNC, DISK_ENGINE_URING };

static inline uint8_t rig_byte(uint64_t at)
{
	return (uint8_t)(at * 5 + at / SECTOR + 1);
}

static inline int rig_set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	static uint8_t image[N_SECTORS * SECTOR];

	rig->options = (struct blk_options){
		.path = rig->path, .n_queues = 1, .engine = *(const enum disk_engine *)*state
	};
	memcpy(rig->path, "/var/tmp/pronto-test-XXXXXX", 28);
	rig->fd = mkostemp(rig->path, O_CLOEXEC);
	assert_true(rig->fd >= 0);
	for (size_t i = 0; i < sizeof(image); i++)
		image[i] = rig_byte(i);
	assert_int_equal(file_write_at(rig->fd, image, sizeof(image), 0), 0);
	rig_mem_init(&rig->mem);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){ .mem = &rig->mem, .loop = &rig->loop, .bind = rig_bind };
	rig->transport = (struct virtio_transport){ .signal_queue = rig_signal_queue,
		.signal_config = rig_signal_config,
		.doorbell = rig_doorbell };
	log_set_level(LOG_LEVEL_ERROR);
	*state = rig;
	return 0;
}

static inline void rig_close(struct rig *rig)
{
	if (rig->dev)
		virtio_close(rig->dev);
	rig->dev = NULL;
}

static inline int rig_tear_down(void **state)
{
	struct rig *rig = *state;

	rig_close(rig);
	loop_fini(&rig->loop);
	rig_mem_fini(&rig->mem);
	close(rig->fd);
	unlink(rig->path);
	free(rig);
	return 0;
}

/* ---- the driver ---- */

#define RIG_USUAL                                                          \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH) | \
		VIRTIO_BIT(VIRTIO_F_RING_RESET) | VIRTIO_BIT(VIRTIO_BLK_F_MQ))

static inline void rig_place_ring(struct rig *rig, unsigned int i)
{
	rig_ring_init(&rig->ring[i], &rig->mem, RING(i), 256);
	rig_place(&rig->ring[i], virtio_queue(rig->dev, i));
	virtio_enable_queue(rig->dev, i);
	rig->next_desc[i] = 0;
}

/* Take the device into use with some of these features. */
static inline void rig_drive(struct rig *rig, uint64_t features)
{
	features &= rig->dev->offered;
	virtio_set_status(rig->dev, 0);
	virtio_set_features_word(rig->dev, 0, (uint32_t)features);
	virtio_set_features_word(rig->dev, 1, (uint32_t)(features >> 32));
	virtio_set_status(rig->dev,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_FEATURES_OK);
	for (unsigned int i = 0; i < rig->options.n_queues; i++)
		rig_place_ring(rig, i);
	virtio_set_status(rig->dev, rig->dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
}

static inline void rig_open(struct rig *rig, uint64_t features)
{
	struct diag diag;

	rig->dev = blk_class.open(&rig->options, &rig->env, &diag);
	if (!rig->dev && strstr(diag.text, "io_uring: "))
		skip_because("there is no io_uring here");
	if (!rig->dev)
		fail_msg("%s", diag.text);
	rig->dev->transport = &rig->transport;
	rig_drive(rig, features);
}

struct request {
	unsigned int queue, slot;
	uint32_t type;
	uint64_t sector;
	const void *out; /* what is sent */
	uint32_t out_size;
	uint32_t in_size; /* of the answer, but for the status */
	uint32_t cut;     /* each descriptor has so many bytes at most; 0: header, data, status */
};

static inline void rig_add_descs(
	struct rig *rig, unsigned int queue, gpa_t gpa, uint32_t size, uint32_t cut, uint16_t flags)
{
	struct rig_ring *ring = &rig->ring[queue];

	while (size) {
		uint16_t i = rig->next_desc[queue]++ % ring->size;
		uint32_t len = cut && cut < size ? cut : size;

		*rig_desc(ring, i) = (struct vring_desc){ gpa, len, VRING_DESC_F_NEXT | flags,
			(uint16_t)(i + 1) % ring->size };
		gpa += len;
		size -= len;
	}
}

/* Write the request and make it available; the device has not been kicked. */
static inline void rig_offer_request(struct rig *rig, const struct request *r)
{
	struct rig_ring *ring = &rig->ring[r->queue];
	struct virtio_blk_outhdr header = { r->type, 0, r->sector };
	uint16_t head = rig->next_desc[r->queue] % ring->size;
	uint32_t out = HEADER + r->out_size, in = r->in_size + 1;

	memcpy(rig_at(&rig->mem, OUT(r->slot), HEADER), &header, HEADER);
	if (r->out_size)
		memcpy(rig_at(&rig->mem, OUT(r->slot) + HEADER, r->out_size), r->out, r->out_size);
	memset(rig_at(&rig->mem, IN(r->slot), in + 1ull), 0xee, in + 1ull);
	if (r->cut) {
		rig_add_descs(rig, r->queue, OUT(r->slot), out, r->cut, 0);
		rig_add_descs(rig, r->queue, IN(r->slot), in, r->cut, VRING_DESC_F_WRITE);
	} else {
		rig_add_descs(rig, r->queue, OUT(r->slot), HEADER, 0, 0);
		rig_add_descs(rig, r->queue, OUT(r->slot) + HEADER, r->out_size, 0, 0);
		rig_add_descs(rig, r->queue, IN(r->slot), r->in_size, 0, VRING_DESC_F_WRITE);
		rig_add_descs(rig, r->queue, IN(r->slot) + r->in_size, 1, 0, VRING_DESC_F_WRITE);
	}
	rig_desc(ring, (rig->next_desc[r->queue] - 1u) % ring->size)->flags ^= VRING_DESC_F_NEXT;
	rig_offer(ring, head);
}

static inline void rig_hangs(void *)
{
	fail_msg("the device does not answer");
}

/* Kick, and serve the loop until so many are used or the device needs a reset. */
static inline void rig_kick(struct rig *rig, unsigned int queue, uint16_t n)
{
	virtio_kick(rig->dev, queue);
	while (rig_n_used(&rig->ring[queue]) < n &&
		!(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET)) {
		rig->loop.stopped = false;
		loop_when_quiet(&rig->loop, 20000, rig_hangs, rig);
		assert_int_equal(loop_run(&rig->loop), 0);
	}
}

static inline uint8_t rig_status(const struct rig *rig, const struct request *r)
{
	const uint8_t *in = rig_at(&rig->mem, IN(r->slot), r->in_size + 2ull);

	assert_int_equal(in[r->in_size + 1], 0xee); /* behind the end */
	return in[r->in_size];
}

/* A request from its beginning to its end: its status. */
static inline uint8_t rig_ask(struct rig *rig, const struct request *r)
{
	struct vring_used_elem used;
	uint16_t head = rig->next_desc[r->queue] % rig->ring[r->queue].size;

	rig_offer_request(rig, r);
	rig_kick(rig, r->queue, 1);
	assert_int_equal(rig_n_used(&rig->ring[r->queue]), 1);
	used = rig_take(&rig->ring[r->queue]);
	assert_int_equal(used.id, head);
	assert_true(used.len >= 1 && used.len <= r->in_size + 1);
	return rig_status(rig, r);
}

static inline const uint8_t *rig_answer(const struct rig *rig, const struct request *r)
{
	return rig_at(&rig->mem, IN(r->slot), r->in_size + 1ull);
}

/* The image holds what it was made with, from the one sector to before the other. */
static inline void rig_check_image(const struct rig *rig, uint64_t from, uint64_t to)
{
	for (uint64_t s = from; s < to; s++) {
		uint8_t seen[SECTOR];

		assert_int_equal(file_read_at(rig->fd, seen, SECTOR, s * SECTOR), 0);
		for (unsigned int i = 0; i < SECTOR; i++)
			assert_int_equal(seen[i], rig_byte(s * SECTOR + i));
	}
}

static inline void rig_check_bytes(const struct rig *rig, uint64_t sector, int byte)
{
	uint8_t seen[SECTOR], want[SECTOR];

	memset(want, byte, SECTOR);
	assert_int_equal(file_read_at(rig->fd, seen, SECTOR, sector * SECTOR), 0);
	assert_memory_equal(seen, want, SECTOR);
}

#define WITH_ENGINE(test, engine, text)                                                            \
	{                                                                                          \
#test " (" text ")", test, rig_set_up, rig_tear_down, (void *)&rig_engines[engine] \
	}
#define WITH_SYNC(test)  WITH_ENGINE(test, 0, "sync")
#define WITH_URING(test) WITH_ENGINE(test, 1, "uring")
#define WITH_BOTH(test)  WITH_SYNC(test), WITH_URING(test)

#endif
