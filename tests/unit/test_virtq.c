// SPDX-License-Identifier: MIT
/* test_virtq.c - rings: set-up, indices, used entries, when to signal and when to listen */

#include "virtq_rig.h"

#include <errno.h>

/* ---- set-up ---- */

static void test_what_is_enabled(void **state)
{
	struct rig *rig = *state;
	const gpa_t end = RIG_REGION, high = RIG_HIGH;
	const struct {
		const char *what;
		int size;
		gpa_t desc, avail, used;
		int64_t ret;
	} row[] = {
		{ "apart", 8, 0x1000, 0x2000, 0x3000, 0 },
		{ "least alignment", 8, 0x1010, 0x2002, 0x3004, 0 },
		{ "one entry", 1, 0x1000, 0x2000, 0x3000, 0 },
		{ "the most entries", 256, 0x1000, 0x2000, 0x3000, 0 },
		{ "in address 0", 8, 0, 0x2000, 0x3000, 0 },
		{ "one over another, which harms the guest alone", 8, 0x1000, 0x1000, 0x1000, 0 },
		{ "above the hole", 8, high, high + 0x100, high + 0x200, 0 },
		{ "in both regions", 8, 0x1000, high, 0x3000, 0 },
		{ "to the end of RAM: descriptors", 8, end - 128, 0, 0, 0 },
		{ "to the end of RAM: available", 8, 0, end - 22, 0, 0 },
		{ "to the end of RAM: used", 8, 0, 0, end - 72, 0 },
		{ "no entry", 0, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ "no power of two", 12, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ "more than may be", 512, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ "more than can be", 0x8000, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ "all bits", 0xffff, 0x1000, 0x2000, 0x3000, -EINVAL },
		{ "descriptors not aligned", 8, 0x1008, 0x2000, 0x3000, -EINVAL },
		{ "available not aligned", 8, 0x1000, 0x2001, 0x3000, -EINVAL },
		{ "used not aligned", 8, 0x1000, 0x2000, 0x3002, -EINVAL },
		{ "beyond RAM: descriptors", 8, end - 112, 0, 0, -EINVAL },
		{ "beyond RAM: available", 8, 0, end - 20, 0, -EINVAL },
		{ "beyond RAM: used", 8, 0, 0, end - 68, -EINVAL },
		{ "in the hole", 8, 0xc0001000, 0, 0, -EINVAL },
		{ "into the second region", 8, high - 64, 0, 0, -EINVAL },
		{ "beyond all", 8, 0, 0, high + RIG_REGION, -EINVAL },
		{ "wraps", 8, UINT64_MAX - 15, 0, 0, -EINVAL },
		{ "wraps", 8, 0, UINT64_MAX - 1, 0, -EINVAL },
		{ "wraps", 8, 0, 0, UINT64_MAX - 3, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(row); i++) {
		struct virtq *vq = &rig->vq;

		virtq_reset(vq);
		assert_int_equal(vq->size, MAX_SIZE);
		vq->size = (uint16_t)row[i].size;
		vq->desc_at = row[i].desc;
		vq->avail_at = row[i].avail;
		vq->used_at = row[i].used;
		if (virtq_enable(vq, false) != row[i].ret || vq->enabled != !row[i].ret)
			fail_msg("%s", row[i].what);
	}
}

static void test_not_enabled(void **state)
{
	struct rig *rig = *state;

	rig_offer_one(&rig->ring, 0, DATA, 1, 0);
	assert_true(virtq_is_pending(&rig->vq));
	virtq_reset(&rig->vq);
	assert_false(virtq_is_pending(&rig->vq));
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 0);
	assert_false(virtq_needs_signal(&rig->vq));
	virtq_hush(&rig->vq);
	assert_false(virtq_listen(&rig->vq));
	assert_true(rig->vq.desc_at == 0 && rig->vq.avail_at == 0 && rig->vq.used_at == 0);
}

/* ---- the available ring ---- */

static void test_index_that_jumps(void **state)
{
	struct rig *rig = *state;
	const uint16_t start[] = { 0, 3, 0x7fff, 0xfff9, 0xffff };

	for (size_t i = 0; i < ARRAY_SIZE(start); i++)
		for (uint32_t n = 0; n < 0x10000; n += n < 20 ? 1 : 4095) {
			int ret = n == 0 ? 0 : n <= 8 ? 1 : -EBADMSG;

			age(rig, start[i]);
			rig_avail(&rig->ring)->idx = (uint16_t)(start[i] + n);
			assert_int_equal(virtq_pop(&rig->vq, &rig->chain), ret);
		}
}

/* No more chains are under way than the queue has descriptors: who is served later can rely on it.
 */
static void test_no_more_than_the_queue_has(void **state)
{
	struct rig *rig = *state;

	age(rig, 0xfffc);
	for (unsigned int i = 0; i < 8; i++) {
		rig_offer_one(&rig->ring, 0, DATA, 1, 0);
		assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	}
	rig_offer(&rig->ring, 0);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), -EBADMSG);
	virtq_push(&rig->vq, 0, 0);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	rig_offer(&rig->ring, 0);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), -EBADMSG);
}

static void test_unpop(void **state)
{
	struct rig *rig = *state;

	age(rig, 0xffff);
	rig_offer_one(&rig->ring, 2, DATA, 1, 0);
	rig_offer_one(&rig->ring, 5, DATA, 2, 0);
	for (int i = 0; i < 3; i++) {
		assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
		assert_int_equal(rig->chain.head, 2);
		virtq_unpop(&rig->vq);
		assert_true(virtq_is_pending(&rig->vq));
	}
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	assert_int_equal(rig->chain.head, 5);
	virtq_unpop(&rig->vq);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	assert_int_equal(rig->chain.head, 5);
	assert_false(virtq_is_pending(&rig->vq));
}

/* ---- round and round ---- */

static void go_round(struct rig *rig, uint16_t size, bool event_idx)
{
	uint16_t heads[MAX_SIZE];
	uint32_t value = size;

	use_ring(rig, size, event_idx);
	for (uint32_t round = 0; round * size < 70000; round++) {
		for (uint16_t i = 0; i < size; i++)
			rig_offer_one(&rig->ring, (uint16_t)((i * 3u + round) % size), DATA + i,
				i + 1u, WRITE);
		for (uint16_t i = 0; i < size; i++) {
			assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
			assert_ptr_equal(rig->iov[0].iov_base, rig_at(&rig->mem, DATA + i, 1));
			heads[i] = rig->chain.head;
		}
		assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 0);
		/* In any order. */
		for (uint16_t i = 0; i < size; i++) {
			uint16_t k = (uint16_t)(i ^ (round & (size - 1u)));

			virtq_push(&rig->vq, heads[k], value + i);
			assert_int_equal(rig_n_used(&rig->ring), 1);
			struct vring_used_elem elem = rig_take(&rig->ring);
			assert_true(elem.id == heads[k] && elem.len == value + i);
		}
		value += 0x10001;
	}
}

static void test_round_and_round(void **state)
{
	go_round(*state, 1, false);
	go_round(*state, 2, true);
	go_round(*state, 8, false);
	go_round(*state, 256, true);
}

/* Several at once: the index tells of them when all are there, across its wrap, too. */
static void test_pushed_together(void **state)
{
	struct rig *rig = *state;
	struct vring_used_elem elem[8];

	for (unsigned int n = 0; n <= 8; n++) {
		age(rig, 0xfffd);
		for (uint32_t i = 0; i < n; i++)
			elem[i] = (struct vring_used_elem){ .id = 7 - i, .len = 100 + n + i };
		virtq_push_all(&rig->vq, elem, n);
		assert_int_equal(rig_n_used(&rig->ring), n);
		assert_int_equal(virtq_needs_signal(&rig->vq), n > 0);
		for (uint32_t i = 0; i < n; i++) {
			struct vring_used_elem seen = rig_take(&rig->ring);

			assert_memory_equal(&seen, &elem[i], sizeof(seen));
		}
	}
}

/* Of the ring nothing is written but the used entries, the index and the event behind them. */
static void test_what_is_written(void **state)
{
	struct rig *rig = *state;
	uint8_t *all = rig->mem.region[0].hva, *before = malloc(RIG_REGION);
	uint64_t used = rig->ring.used_at;

	rig_offer_one(&rig->ring, 1, DATA, 4, WRITE);
	memcpy(before, all, RIG_REGION);
	virtq_hush(&rig->vq);
	assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
	virtq_push(&rig->vq, rig->chain.head, 4);
	assert_true(virtq_needs_signal(&rig->vq));
	assert_false(virtq_listen(&rig->vq));
	assert_memory_equal(all, before, used);
	assert_memory_equal(all + used + 12, before + used + 12, RIG_REGION - used - 12);
	assert_int_equal(rig_n_used(&rig->ring), 1);
	assert_memory_equal(all + rig->mem.region[1].size - 16, before + RIG_REGION - 16, 16);
	free(before);
}

/* ---- signals ---- */

static void push(struct rig *rig, unsigned int n)
{
	while (n--)
		virtq_push(&rig->vq, 0, 0);
}

static void test_signal_without_event_indices(void **state)
{
	struct rig *rig = *state;
	uint16_t *flags = &rig_avail(&rig->ring)->flags;

	assert_false(virtq_needs_signal(&rig->vq));
	push(rig, 1);
	assert_true(virtq_needs_signal(&rig->vq));
	assert_false(virtq_needs_signal(&rig->vq)); /* for nothing new */
	*flags = VRING_AVAIL_F_NO_INTERRUPT;
	push(rig, 3);
	assert_false(virtq_needs_signal(&rig->vq));
	*flags = 0;
	assert_false(virtq_needs_signal(&rig->vq)); /* who asks for it looks himself first */
	push(rig, 1);
	assert_true(virtq_needs_signal(&rig->vq));
	*flags = 0xfffe; /* of unknown meaning */
	push(rig, 1);
	assert_true(virtq_needs_signal(&rig->vq));
}

/* 2.7.7.2: if the index in used_event was passed since the last look. */
static bool model_needs_signal(uint16_t old, unsigned int n, uint16_t event)
{
	for (unsigned int i = 0; i < n; i++)
		if ((uint16_t)(old + i) == event)
			return true;
	return false;
}

static const uint16_t ages[] = { 0, 1, 7, 0x7ffe, 0x7fff, 0x8000, 0xfff9, 0xfffe, 0xffff };

static void test_signal_by_event_index(void **state)
{
	struct rig *rig = *state;

	use_ring(rig, 8, true);
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		for (unsigned int n = 0; n <= 8; n++)
			for (uint32_t off = 0; off < 0x10000;
				off += off < 16 || off > 0xffe0 ? 1 : 99) {
				uint16_t event = (uint16_t)(ages[i] + off);

				age(rig, ages[i]);
				rig->vq.must_signal = false;
				*rig_used_event(&rig->ring) = event;
				push(rig, n);
				assert_int_equal(virtq_needs_signal(&rig->vq),
					model_needs_signal(ages[i], n, event));
				assert_false(virtq_needs_signal(&rig->vq));
			}
}

/* Looks in between lose nothing and double nothing. */
static void test_signal_at_every_step(void **state)
{
	struct rig *rig = *state;

	use_ring(rig, 8, true);
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
		unsigned int n_signals = 0;

		age(rig, ages[i]);
		rig->vq.must_signal = false;
		*rig_used_event(&rig->ring) = (uint16_t)(ages[i] + 5);
		for (unsigned int n = 0; n < 20; n++) {
			push(rig, 1);
			n_signals += virtq_needs_signal(&rig->vq);
			assert_int_equal(n_signals, n >= 5);
		}
	}
}

/* The driver's first index may be that of a queue of before. */
static void test_first_signal_is_sure(void **state)
{
	struct rig *rig = *state;

	use_ring(rig, 8, true);
	*rig_used_event(&rig->ring) = 100;
	assert_false(virtq_needs_signal(&rig->vq));
	push(rig, 1);
	assert_true(virtq_needs_signal(&rig->vq));
	push(rig, 1);
	assert_false(virtq_needs_signal(&rig->vq));
	virtq_reset(&rig->vq);
	rig_place(&rig->ring, &rig->vq);
	assert_int_equal(virtq_enable(&rig->vq, true), 0);
	push(rig, 1);
	assert_true(virtq_needs_signal(&rig->vq));
}

/* ---- kicks ---- */

static void test_listen_without_event_indices(void **state)
{
	struct rig *rig = *state;
	const struct vring_used *used = rig_used(&rig->ring);

	assert_int_equal(used->flags, 0);
	virtq_hush(&rig->vq);
	assert_int_equal(used->flags, VRING_USED_F_NO_NOTIFY);
	assert_false(virtq_listen(&rig->vq));
	assert_int_equal(used->flags, 0);
	virtq_hush(&rig->vq);
	rig_offer_one(&rig->ring, 0, DATA, 1, 0);
	assert_true(virtq_listen(&rig->vq));
	assert_int_equal(used->flags, 0);
	assert_int_equal(rig_avail_event(&rig->ring), 0); /* is not written */
	/* An index that is wrong is something to look at, too. */
	rig_avail(&rig->ring)->idx = 0x8000;
	assert_true(virtq_listen(&rig->vq));
}

/* A driver kicks if the index it was told is among those it has published since its last kick. */
static void test_listen_by_event_index(void **state)
{
	struct rig *rig = *state;

	use_ring(rig, 8, true);
	for (size_t i = 0; i < ARRAY_SIZE(ages); i++) {
		age(rig, ages[i]);
		virtq_hush(&rig->vq);
		assert_false(virtq_listen(&rig->vq));
		assert_int_equal(rig_avail_event(&rig->ring), ages[i]);
		for (unsigned int n = 1; n <= 8; n++) {
			rig_offer_one(&rig->ring, 0, DATA, 1, 0);
			assert_int_equal(vring_need_event(rig_avail_event(&rig->ring),
						 rig->ring.n_offered, ages[i]),
				1);
		}
		assert_true(virtq_listen(&rig->vq));
		for (unsigned int n = 1; n <= 8; n++) {
			assert_int_equal(virtq_pop(&rig->vq, &rig->chain), 1);
			assert_int_equal(virtq_listen(&rig->vq), n < 8);
			assert_int_equal(rig_avail_event(&rig->ring), (uint16_t)(ages[i] + n));
		}
		assert_int_equal(rig_used(&rig->ring)->flags, 0); /* is not written */
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_is_enabled),
		TEST(test_not_enabled),
		TEST(test_index_that_jumps),
		TEST(test_no_more_than_the_queue_has),
		TEST(test_unpop),
		TEST(test_round_and_round),
		TEST(test_pushed_together),
		TEST(test_what_is_written),
		TEST(test_signal_without_event_indices),
		TEST(test_signal_by_event_index),
		TEST(test_signal_at_every_step),
		TEST(test_first_signal_is_sure),
		TEST(test_listen_without_event_indices),
		TEST(test_listen_by_event_index),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
