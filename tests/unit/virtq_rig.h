/* SPDX-License-Identifier: MIT */
/* virtq_rig.h - a virtqueue and its driver, for test_virtq*.c */
#ifndef TESTS_UNIT_VIRTQ_RIG_H
#define TESTS_UNIT_VIRTQ_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "virtio_rig.h"

#include <stdlib.h>

#define MAX_SIZE 256
#define RING     0x1000 /* where it lies */
#define DATA     0x20000
#define MAX_IOV  16

#define NEXT     VRING_DESC_F_NEXT
#define WRITE    VRING_DESC_F_WRITE
#define INDIRECT VRING_DESC_F_INDIRECT

struct rig {
	struct guest_mem mem;
	struct rig_ring ring;
	struct virtq vq;
	struct iovec iov[MAX_IOV];
	struct virtq_chain chain;
};

static inline void use_ring(struct rig *rig, uint16_t size, bool event_idx)
{
	virtq_init(&rig->vq, &rig->mem, MAX_SIZE);
	rig_ring_init(&rig->ring, &rig->mem, RING, size);
	rig_place(&rig->ring, &rig->vq);
	assert_int_equal(virtq_enable(&rig->vq, event_idx), 0);
}

static inline int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));

	rig_mem_init(&rig->mem);
	rig->chain = (struct virtq_chain){ .iov = rig->iov, .max_iov = MAX_IOV };
	use_ring(rig, 8, false);
	*state = rig;
	return 0;
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	rig_mem_fini(&rig->mem);
	free(rig);
	return 0;
}

/* Both sides as if so many chains had gone round before. */
static inline void age(struct rig *rig, uint16_t n)
{
	rig->vq.next_avail = rig->vq.next_used = rig->vq.signalled = n;
	rig->ring.n_offered = rig->ring.n_seen = n;
	rig_avail(&rig->ring)->idx = rig_used(&rig->ring)->idx = n;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
