// SPDX-License-Identifier: MIT
/* test_blk_queues.c - virtio-blk: several queues, and resets while the host is at it */

#include "blk_rig.h"

#define OK VIRTIO_BLK_S_OK

static uint8_t read_sector(struct rig *rig, uint64_t sector)
{
	return rig_ask(rig,
		&(struct request){ .type = VIRTIO_BLK_T_IN, .sector = sector, .in_size = SECTOR });
}

static void test_queues(void **state)
{
	struct rig *rig = *state;

	rig->options.n_queues = 2;
	rig_open(rig, RIG_USUAL);
	for (unsigned int i = 0; i < 2; i++) {
		struct request r = { .queue = i,
			.slot = i,
			.type = VIRTIO_BLK_T_IN,
			.sector = i,
			.in_size = SECTOR };

		memset(rig->n_signals, 0, sizeof(rig->n_signals));
		assert_int_equal(rig_ask(rig, &r), OK);
		assert_int_equal(rig_answer(rig, &r)[0], rig_byte(i * SECTOR));
		assert_int_equal(rig->n_signals[i], 1);
		assert_int_equal(rig->n_signals[!i], 0);
	}
}

/* A flush is never done at once by io_uring: it is in flight when the queue ends. */
static void offer_flushes(struct rig *rig, unsigned int queue, unsigned int n)
{
	for (unsigned int i = 0; i < n; i++)
		rig_offer_request(rig,
			&(struct request){ .queue = queue, .slot = i, .type = VIRTIO_BLK_T_FLUSH });
	virtio_serve(rig->dev, virtio_queue(rig->dev, queue));
}

static void stop(void *loop)
{
	loop_stop(loop);
}

/* After a reset nothing is in flight: guest memory stays as it is. */
static void test_reset(void **state)
{
	struct rig *rig = *state;
	static uint8_t before[RIG_REGION];

	rig_open(rig, RIG_USUAL);
	for (unsigned int i = 0; i < 10; i++) {
		offer_flushes(rig, 0, N_SLOTS);
		virtio_set_status(rig->dev, 0);
		assert_int_equal(rig->dev->status, 0);
		memset(rig_at(&rig->mem, RIG_HIGH, RIG_REGION), 0x3c, RIG_REGION);
		memcpy(before, rig_at(&rig->mem, 0, RIG_REGION), RIG_REGION);
		rig->loop.stopped = false;
		loop_when_quiet(&rig->loop, 5, stop, &rig->loop);
		assert_int_equal(loop_run(&rig->loop), 0);
		assert_memory_equal(rig_at(&rig->mem, 0, RIG_REGION), before, RIG_REGION);
		for (unsigned int j = 0; j < N_SLOTS; j++)
			assert_int_equal(*(uint8_t *)rig_at(&rig->mem, IN(j), 1), 0x3c);
		rig_drive(rig, RIG_USUAL);
		assert_int_equal(read_sector(rig, i), OK);
	}
}

/* One queue ends: what is in flight of the other is done, and its driver is told. */
static void test_reset_of_a_queue(void **state)
{
	struct rig *rig = *state;

	rig->options.n_queues = 2;
	rig_open(rig, RIG_USUAL);
	for (unsigned int i = 0; i < 10; i++) {
		memset(rig->n_signals, 0, sizeof(rig->n_signals));
		offer_flushes(rig, 1, 8);
		virtio_reset_queue(rig->dev, 0);
		assert_int_equal(rig_n_used(&rig->ring[1]), 8);
		assert_true(rig->n_signals[1] > 0);
		for (unsigned int j = 0; j < 8; j++)
			rig_take(&rig->ring[1]);
		rig_place_ring(rig, 0);
		assert_int_equal(read_sector(rig, i), OK);
	}
}

/* ---- requests that are large ---- */

/* A chain that reads n segments of `size` bytes each, all of them the same memory. */
static void put_large(struct rig *rig, uint16_t n, uint32_t size)
{
	struct virtio_blk_outhdr header = { VIRTIO_BLK_T_IN, 0, 0 };
	struct rig_ring *ring = &rig->ring[0];

	memcpy(rig_at(&rig->mem, OUT(0), HEADER), &header, HEADER);
	*rig_desc(ring, 0) = (struct vring_desc){ OUT(0), HEADER, VRING_DESC_F_NEXT, 1 };
	for (uint16_t i = 1; i <= n; i++)
		*rig_desc(ring, i) = (struct vring_desc){ RIG_HIGH, size,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(i + 1) };
	*rig_desc(ring, n + 1u) = (struct vring_desc){ OUT(1), 1, VRING_DESC_F_WRITE, 0 };
}

/* A guest that asks for much at once does not have it under way at once: a turn is short, and so is
 * what an end of the machine waits for.
 */
static void test_much_at_once(void **state)
{
	enum { N = 6 };
	struct rig *rig = *state;

	assert_int_equal(ftruncate(rig->fd, MIB(128)), 0);
	rig_open(rig, RIG_USUAL);
	put_large(rig, 128, RIG_REGION); /* 32 MiB */
	for (unsigned int i = 0; i < N; i++)
		rig_offer(&rig->ring[0], 0);
	virtio_serve(rig->dev, virtio_queue(rig->dev, 0));
	assert_in_range(rig_n_used(&rig->ring[0]), 0, 2);
	assert_int_equal(virtio_queue(rig->dev, 0)->next_avail, 2);
	rig_kick(rig, 0, N);
	for (unsigned int i = 0; i < N; i++)
		assert_int_equal(rig_take(&rig->ring[0]).len, MIB(32) + 1);
	assert_int_equal(*(uint8_t *)rig_at(&rig->mem, OUT(1), 1), OK);
}

/* More guest memory: the rig's would not do for a request that the host is asked for in pieces. */
static void with_large_memory(struct rig *rig, void (*test)(struct rig *rig, uint8_t *at))
{
	const struct mem_region small = rig->mem.region[1];
	void *large = mmap(
		NULL, MIB(2), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_ptr_not_equal(large, MAP_FAILED);
	assert_int_equal(ftruncate(rig->fd, MIB(512)), 0);
	rig->mem.region[1].hva = large;
	rig->mem.region[1].size = MIB(2);
	rig_open(rig, RIG_USUAL);
	test(rig, large);
	rig_close(rig);
	rig->mem.region[1] = small;
	munmap(large, MIB(2));
}

static void read_large(struct rig *rig, uint8_t *at)
{
	const uint8_t mark = 0x5a;

	assert_int_equal(file_write_at(rig->fd, &mark, 1, MIB(79)), 0);
	put_large(rig, 40, MIB(2));
	rig_offer(&rig->ring[0], 0);
	rig_kick(rig, 0, 1);
	assert_int_equal(rig_take(&rig->ring[0]).len, MIB(80) + 1);
	assert_int_equal(*(uint8_t *)rig_at(&rig->mem, OUT(1), 1), OK);
	assert_int_equal(at[MIB(1)], mark);
	assert_int_equal(at[MIB(1) - 1], 0);
}

/* In pieces, which come together again. */
static void test_large(void **state)
{
	with_large_memory(*state, read_large);
}

static void leave_large(struct rig *rig, uint8_t *)
{
	put_large(rig, 250, MIB(2));
	rig_offer(&rig->ring[0], 0);
	virtio_serve(rig->dev, virtio_queue(rig->dev, 0));
	assert_int_equal(rig_n_used(&rig->ring[0]), 0);
	virtio_set_status(rig->dev, 0);
	assert_int_equal(*(uint8_t *)rig_at(&rig->mem, OUT(1), 1), VIRTIO_BLK_S_IOERR);
}

/* What is left of it is not waited for. */
static void test_reset_amid_a_large_one(void **state)
{
	with_large_memory(*state, leave_large);
}

/* ---- requests that have many parts ---- */

#define N_RANGES 64

/* One of io_uring's at a time: most of them are still to come when this returns. */
static void start_clearing(struct rig *rig, unsigned int queue)
{
	struct virtio_blk_discard_write_zeroes range[N_RANGES] = { 0 };

	for (unsigned int i = 0; i < N_RANGES; i++) {
		range[i].sector = i * 8;
		range[i].num_sectors = 8;
	}
	rig_offer_request(rig, &(struct request){ .queue = queue,
				       .type = VIRTIO_BLK_T_DISCARD,
				       .out = range,
				       .out_size = sizeof(range) });
	virtio_serve(rig->dev, virtio_queue(rig->dev, queue));
	assert_int_equal(rig_n_used(&rig->ring[queue]), 0);
}

static uint8_t status_of_clearing(const struct rig *rig)
{
	return *(uint8_t *)rig_at(&rig->mem, IN(0), 1);
}

/* Nobody waits for what is left of them when the device ends. */
static void test_end_amid_parts(void **state)
{
	struct rig *rig = *state;

	for (unsigned int i = 0; i < 2; i++) {
		rig->options.n_queues = 2;
		rig_open(rig, UINT64_MAX);
		start_clearing(rig, i);
		rig_close(rig);
		assert_int_equal(status_of_clearing(rig), VIRTIO_BLK_S_IOERR);
		rig_check_image(rig, 8 * (N_RANGES - 1), N_SECTORS);
	}
}

/* But of another queue they are wanted. */
static void test_reset_of_another_queue_amid_parts(void **state)
{
	struct rig *rig = *state;

	rig->options.n_queues = 2;
	rig_open(rig, UINT64_MAX);
	start_clearing(rig, 1);
	virtio_reset_queue(rig->dev, 0);
	assert_int_equal(rig_n_used(&rig->ring[1]), 1);
	assert_int_equal(status_of_clearing(rig), OK);
	rig_check_bytes(rig, 8 * N_RANGES - 1, 0);
	rig_check_image(rig, 8 * N_RANGES, N_SECTORS);
}

/* ---- the machine's pause ---- */

/* What the host is at is done, all of it, and told. */
static void test_quiesce(void **state)
{
	struct rig *rig = *state;

	rig->options.n_queues = 2;
	rig_open(rig, UINT64_MAX);
	memset(rig->n_signals, 0, sizeof(rig->n_signals));
	start_clearing(rig, 0);
	offer_flushes(rig, 1, N_SLOTS);
	virtio_quiesce(rig->dev);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	assert_int_equal(status_of_clearing(rig), OK);
	assert_int_equal(rig_n_used(&rig->ring[1]), N_SLOTS);
	/* Some of it may have been done, and told, at once. */
	for (unsigned int i = 0; i < 2; i++) {
		assert_true(rig->n_signals[i]);
		assert_false(virtq_needs_signal(virtio_queue(rig->dev, i)));
	}
}

/* What waits, for its rate among others, waits on, and is not lost. */
static void test_pause_with_a_rate(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *ring = &rig->ring[0];
	unsigned int n;

	rig->options.ops = rate_per_second(100);
	rig_open(rig, RIG_USUAL);
	offer_flushes(rig, 0, N_SLOTS);
	for (unsigned int i = 0; i < 5; i++) {
		virtio_quiesce(rig->dev);
		n = rig_n_used(ring);
		assert_int_equal(virtio_queue(rig->dev, 0)->next_avail, n);
		rig->loop.stopped = false;
		loop_when_quiet(&rig->loop, 30, stop, &rig->loop);
		assert_int_equal(loop_run(&rig->loop), 0);
		assert_int_equal(rig_n_used(ring), n);
		virtio_resume(rig->dev);
	}
	rig_kick(rig, 0, N_SLOTS);
	assert_int_equal(rig_n_used(ring), N_SLOTS);
}

/* The machine ends while the host is at it. */
static void test_close(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	offer_flushes(rig, 0, N_SLOTS);
	rig_close(rig);
	assert_int_equal(rig_n_used(&rig->ring[0]), N_SLOTS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_queues),
		WITH_BOTH(test_reset),
		WITH_BOTH(test_reset_of_a_queue),
		WITH_BOTH(test_much_at_once),
		WITH_BOTH(test_large),
		WITH_URING(test_reset_amid_a_large_one),
		WITH_URING(test_end_amid_parts),
		WITH_URING(test_reset_of_another_queue_amid_parts),
		WITH_URING(test_quiesce),
		WITH_BOTH(test_pause_with_a_rate),
		WITH_BOTH(test_close),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
