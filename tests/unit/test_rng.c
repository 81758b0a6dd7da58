// SPDX-License-Identifier: MIT
/* test_rng.c - virtio-rng: what arrives in which buffer, and how much */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "class_rig.h"
#include "dev/rng.h"

#define DATA  0x10000
#define WRITE VRING_DESC_F_WRITE
#define NEXT  VRING_DESC_F_NEXT

static int set_up(void **state)
{
	struct class_rig *rig = class_rig_create();

	class_rig_open(rig, &rng_class, &(const struct rng_options){ 0 });
	class_rig_start(rig, 0);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	class_rig_destroy(*state);
	return 0;
}

/* Whether [gpa, gpa + size) is random, as far as one can see: not all of it is as it was. */
static unsigned int n_changed(const struct class_rig *rig, gpa_t gpa, unsigned int size)
{
	const uint8_t *at = rig_at(&rig->mem, gpa, size);
	unsigned int n = 0;

	for (unsigned int i = 0; i < size; i++)
		n += at[i] != 0;
	return n;
}

/* A full ring is served in one turn, each chain with bytes of its own. */
static void test_full_ring(void **state)
{
	struct class_rig *rig = *state;
	const uint8_t *data = rig_at(&rig->mem, DATA, 64 * 64);

	for (uint16_t i = 0; i < 64; i++)
		rig_offer_one(&rig->ring[0], i, DATA + 64u * i, 64, WRITE);
	class_rig_serve(rig, 0);
	for (uint16_t i = 0; i < 64; i++) {
		struct vring_used_elem elem = rig_take(&rig->ring[0]);

		assert_true(elem.id == i && elem.len == 64);
		assert_memory_not_equal(data + 64 * i, data + 64 * ((i + 1) % 64), 64);
	}
	assert_int_equal(rig->n_signals, 1);
}

static void test_what_it_is(void **state)
{
	struct class_rig *rig = *state;

	assert_int_equal(rig->dev->class->id, 4);
	assert_int_equal(rig->dev->n_queues, 1);
	assert_null(virtio_queue(rig->dev, 1));
	assert_int_equal(virtio_read_config(rig->dev, 0, 8), 0); /* it has none */
	assert_int_equal(virtio_offered_word(rig->dev, 0) & 0xffffff, 0);
}

static void test_bytes_arrive(void **state)
{
	struct class_rig *rig = *state;

	rig_offer_one(&rig->ring[0], 3, DATA, 64, WRITE);
	class_rig_serve(rig, 0);
	struct vring_used_elem elem = rig_take(&rig->ring[0]);
	assert_true(elem.id == 3 && elem.len == 64);
	assert_true(n_changed(rig, DATA, 64) > 40); /* one in 2^100 boots sees less */
	assert_int_equal(n_changed(rig, DATA - 64, 64) + n_changed(rig, DATA + 64, 64), 0);
	assert_int_equal(rig->n_signals, 1);
}

/* Segments, of which the first are to be read: those stay. */
static void test_segments(void **state)
{
	struct class_rig *rig = *state;
	const struct vring_desc chain[] = {
		{ DATA, 100, NEXT, 1 },
		{ DATA + 0x1000, 50, NEXT | WRITE, 2 },
		{ 0xc0000000, 0, NEXT | WRITE, 3 },
		{ DATA + 0x2000, 70, WRITE, 0 },
	};

	memcpy(rig_desc(&rig->ring[0], 0), chain, sizeof(chain));
	rig_offer(&rig->ring[0], 0);
	class_rig_serve(rig, 0);
	assert_int_equal(rig_take(&rig->ring[0]).len, 120);
	assert_int_equal(n_changed(rig, DATA, 0x1000), 0);
	assert_in_range(n_changed(rig, DATA + 0x1000, 50), 30, 50);
	assert_in_range(n_changed(rig, DATA + 0x2000, 70), 40, 70);
	assert_int_equal(n_changed(rig, DATA + 0x1000, 0x4000),
		n_changed(rig, DATA + 0x1000, 50) + n_changed(rig, DATA + 0x2000, 70));
}

/* However much is asked for, one chain gets a page; the driver asks again. */
static void test_much(void **state)
{
	struct class_rig *rig = *state;

	for (uint16_t i = 0; i < 64; i++)
		*rig_desc(&rig->ring[0], i) = (struct vring_desc){ DATA, 0x20000,
			WRITE | (i < 63 ? NEXT : 0), (uint16_t)(i + 1) };
	rig_offer(&rig->ring[0], 0);
	class_rig_serve(rig, 0);
	assert_int_equal(rig_take(&rig->ring[0]).len, 4096);
	assert_int_equal(n_changed(rig, DATA + 4096, 0x20000 - 4096), 0);
}

/* Many small ones: they are filled in their order, to the last that there is something for. */
static void test_many(void **state)
{
	struct class_rig *rig = *state;

	for (uint16_t i = 0; i < 64; i++)
		*rig_desc(&rig->ring[0], i) = (struct vring_desc){ DATA + 128u * i, 65,
			WRITE | (i < 63 ? NEXT : 0), (uint16_t)(i + 1) };
	rig_offer(&rig->ring[0], 0);
	class_rig_serve(rig, 0);
	assert_int_equal(rig_take(&rig->ring[0]).len, 4096);
	for (unsigned int i = 0; i < 63; i++) {
		assert_in_range(n_changed(rig, DATA + 128 * i, 65), 40, 65);
		assert_int_equal(n_changed(rig, DATA + 128 * i + 65, 63), 0);
	}
	assert_int_equal(n_changed(rig, DATA + 128 * 63 + 1, 127), 0); /* 4096 = 63 * 65 + 1 */
}

/* Nothing to write to: the specification asks for a byte at least. */
static void test_nothing_to_write_to(void **state)
{
	struct class_rig *rig = *state;

	for (int writable = 0; writable < 2; writable++) {
		virtio_set_status(rig->dev, 0);
		class_rig_start(rig, 0);
		rig_offer_one(&rig->ring[0], 0, DATA, writable ? 0 : 8, writable ? WRITE : 0);
		class_rig_serve(rig, 0);
		assert_int_equal(rig_n_used(&rig->ring[0]), 0);
		assert_int_equal(rig->dev->status, 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
	}
	virtio_set_status(rig->dev, 0);
	class_rig_start(rig, 0);
	test_bytes_arrive(state);
}

/* What is beyond the limit waits for its time, and is not lost. */
static void test_rate(void **state)
{
	struct class_rig *rig = *state;
	struct rng_options options = { 0 };

	virtio_close(rig->dev);
	/* 3 at once, then one each 50 ms; and of bytes enough. */
	assert_true(rate_parse("20", &options.ops));
	assert_true(rate_parse("1000/10s", &options.rate));
	class_rig_open(rig, &rng_class, &options);
	class_rig_start(rig, 0);
	for (uint16_t i = 0; i < 6; i++)
		rig_offer_one(&rig->ring[0], i, DATA + 64u * i, 64, WRITE);
	class_rig_serve(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 3);
	while (rig_n_used(&rig->ring[0]) < 6)
		assert_true(class_rig_turn(rig, 10000));
	for (uint16_t i = 0; i < 6; i++)
		assert_int_equal(rig_take(&rig->ring[0]).len, 64);
	/* A thousand bytes are what goes at once: the one that has the last of them goes, too. */
	virtio_close(rig->dev);
	options.ops = (struct rate_limit){ 0 };
	class_rig_open(rig, &rng_class, &options);
	class_rig_start(rig, 0);
	for (uint16_t i = 0; i < 64; i++)
		rig_offer_one(&rig->ring[0], i, DATA + 64u * i, 64, WRITE);
	class_rig_serve(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 16);
}

/* What nobody has come to is served by a copy. */
static void test_copy(void **state)
{
	struct class_rig *rig = *state;

	rig_offer_one(&rig->ring[0], 0, DATA, 64, WRITE);
	class_rig_serve(rig, 0);
	rig_offer_one(&rig->ring[0], 1, DATA + 64, 64, WRITE);
	class_rig_move(rig, &rng_class, &(const struct rng_options){ 0 });
	while (class_rig_turn(rig, 5))
		continue;
	assert_int_equal(rig_n_used(&rig->ring[0]), 2);
	assert_true(n_changed(rig, DATA + 64, 64) > 0);
	assert_int_equal(rig->n_signals, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_what_it_is),
		TEST(test_bytes_arrive),
		TEST(test_full_ring),
		TEST(test_segments),
		TEST(test_much),
		TEST(test_many),
		TEST(test_nothing_to_write_to),
		TEST(test_rate),
		TEST(test_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
