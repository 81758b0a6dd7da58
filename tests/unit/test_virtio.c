// SPDX-License-Identifier: MIT
/* test_virtio.c - what every virtio device has: features and status */

#include "virtio_dev_rig.h"

/* ---- features ---- */

static void test_offered_features(void **state)
{
	struct rig *rig = *state;
	uint64_t offered = virtio_offered_word(rig->dev, 0) |
	                   (uint64_t)virtio_offered_word(rig->dev, 1) << 32;

	assert_true(offered == (FAKE_FEATURES | RING_BITS));
	assert_int_equal(virtio_offered_word(rig->dev, 2), 0);
	assert_int_equal(virtio_offered_word(rig->dev, UINT32_MAX), 0);
}

/* A driver may write the two words in any order and again (Linux does), until it says that it is
 * done.
 */
static void test_features_freeze(void **state)
{
	struct rig *rig = *state;

	virtio_set_status(rig->dev, S_DRIVER);
	virtio_set_features_word(rig->dev, 1, 1);
	virtio_set_features_word(rig->dev, 0, 0xffffffff);
	virtio_set_features_word(rig->dev, 0, 8);
	virtio_set_features_word(rig->dev, 2, 0xffffffff);
	virtio_set_features_word(rig->dev, UINT32_MAX, 0xffffffff);
	assert_true(rig->dev->features == (VERSION_1 | 8));
	assert_int_equal(virtio_features_word(rig->dev, 0), 8);
	assert_int_equal(virtio_features_word(rig->dev, 1), 1);
	assert_int_equal(virtio_features_word(rig->dev, 2), 0);
	virtio_set_status(rig->dev, S_FEATURES_OK);
	assert_int_equal(rig->dev->status, S_FEATURES_OK);
	set_features(rig, 0);
	assert_true(rig->dev->features == (VERSION_1 | 8));
	assert_true(virtio_has_feature(rig->dev, 3) && !virtio_has_feature(rig->dev, 50));
}

static void test_features_refused(void **state)
{
	struct rig *rig = *state;
	const uint64_t offered = FAKE_FEATURES | RING_BITS;

	for (unsigned int bit = 0; bit < 64; bit++) {
		bool ok = offered & VIRTIO_BIT(bit);

		agree(rig, VERSION_1 | VIRTIO_BIT(bit));
		assert_int_equal(rig->dev->status, ok ? S_FEATURES_OK : S_DRIVER);
		virtio_set_status(rig->dev, 0);
		agree(rig, offered & ~VIRTIO_BIT(bit));
		assert_int_equal(
			rig->dev->status, bit == VIRTIO_F_VERSION_1 ? S_DRIVER : S_FEATURES_OK);
		virtio_set_status(rig->dev, 0);
	}
	/* Refused, it may try again. */
	agree(rig, 0);
	assert_int_equal(rig->dev->status, S_DRIVER);
	agree(rig, VERSION_1);
	assert_int_equal(rig->dev->status, S_FEATURES_OK);
}

/* ---- status ---- */

static void test_status_is_not_cleared_but_by_reset(void **state)
{
	struct rig *rig = *state;

	agree(rig, VERSION_1);
	virtio_set_status(rig->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	assert_int_equal(rig->dev->status, S_FEATURES_OK);
	virtio_set_status(rig->dev, VIRTIO_CONFIG_S_FAILED);
	assert_int_equal(rig->dev->status, S_FEATURES_OK | VIRTIO_CONFIG_S_FAILED);
	virtio_set_status(rig->dev, 0);
	assert_int_equal(rig->dev->status, 0);
	assert_int_equal(rig->fake->n_reset, 1);
}

/* It is the device's to say. */
static void test_needs_reset_is_not_written(void **state)
{
	struct rig *rig = *state;

	for (unsigned int status = 1; status < 0x100; status++) {
		virtio_set_status(rig->dev, (uint8_t)status);
		assert_false(rig->dev->status & S_FAILED);
		virtio_set_status(rig->dev, 0);
		assert_int_equal(rig->dev->status, 0);
	}
}

static void test_nothing_runs_without_features(void **state)
{
	struct rig *rig = *state;

	virtio_set_status(rig->dev, S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(rig->dev->status, S_DRIVER);
	virtio_set_status(rig->dev, S_RUNNING); /* features not given */
	assert_int_equal(rig->dev->status, S_DRIVER);
	enable(rig, 0);
	assert_false(virtio_queue(rig->dev, 0)->enabled);
	assert_int_equal(rig->fake->n_started, 0);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig->fake->n_serve, 0);
}

static void test_started_once(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	virtio_set_status(rig->dev, S_RUNNING);
	virtio_set_status(rig->dev, VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(rig->fake->n_started, 1);
	virtio_set_status(rig->dev, 0);
	bring_up(rig, VERSION_1);
	assert_int_equal(rig->fake->n_started, 2);
}

static void test_start_refused(void **state)
{
	struct rig *rig = *state;

	rig->fake->start_ret = -EINVAL;
	agree(rig, VERSION_1);
	enable(rig, 0);
	virtio_set_status(rig->dev, S_RUNNING);
	assert_int_equal(rig->dev->status, S_RUNNING | S_FAILED);
	assert_int_equal(rig->counter.n_config_signals, 1);
	assert_false(rig->machine->bound[0]);
}

static void test_needs_reset_stays_until_reset(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	virtio_fail(rig->dev, "test");
	assert_int_equal(rig->dev->status, S_RUNNING | S_FAILED);
	assert_int_equal(rig->counter.n_config_signals, 1);
	check_dead(rig);
	virtio_fail(rig->dev, "test");
	assert_int_equal(rig->counter.n_config_signals, 1); /* it was told */
	assert_int_equal(rig->dev->n_faults, 2);
	virtio_set_status(rig->dev, 0);
	bring_up(rig, VERSION_1);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

/* A device that has failed on the way up is not started. */
static void test_failed_before_it_ran(void **state)
{
	struct rig *rig = *state;

	agree(rig, VERSION_1);
	enable(rig, 1);
	virtio_queue(rig->dev, 0)->desc_at = 8;
	virtio_enable_queue(rig->dev, 0);
	assert_int_equal(rig->dev->status, S_FEATURES_OK | S_FAILED);
	assert_false(virtio_queue(rig->dev, 0)->enabled);
	virtio_set_status(rig->dev, S_RUNNING);
	assert_int_equal(rig->fake->n_started, 0);
	assert_int_equal(rig->machine->n_binds, 0);
	check_dead(rig);
}

static void check_fresh(const struct rig *rig)
{
	assert_int_equal(rig->dev->status, 0);
	assert_true(rig->dev->features == 0);
	for (unsigned int i = 0; i < FAKE_QUEUES; i++) {
		assert_true(rig_is_fresh(virtio_queue(rig->dev, i)));
		assert_false(rig->machine->bound[i]);
	}
}

static void test_reset_at_every_state(void **state)
{
	struct rig *rig = *state;

	for (int step = 0; step < 8; step++) {
		if (step > 0)
			virtio_set_status(rig->dev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
		if (step > 1)
			virtio_set_status(rig->dev, S_DRIVER);
		if (step > 2)
			set_features(rig, VERSION_1);
		if (step > 3)
			virtio_set_status(rig->dev, S_FEATURES_OK);
		if (step > 4)
			enable(rig, 0);
		if (step > 5)
			virtio_set_status(rig->dev, S_RUNNING);
		if (step > 6)
			virtio_fail(rig->dev, "test");
		virtio_set_status(rig->dev, 0);
		check_fresh(rig);
		assert_int_equal(rig->fake->n_reset, step + 1);
		assert_int_equal(rig->fake->n_stopped[0], step > 4 ? step - 4 : 0);
		assert_int_equal(rig->fake->n_stopped[1], 0);
	}
	bring_up(rig, FAKE_FEATURES | RING_BITS);
	offer(rig, 0, 3);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 3);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_offered_features),
		TEST(test_features_freeze),
		TEST(test_features_refused),
		TEST(test_status_is_not_cleared_but_by_reset),
		TEST(test_needs_reset_is_not_written),
		TEST(test_nothing_runs_without_features),
		TEST(test_started_once),
		TEST(test_start_refused),
		TEST(test_needs_reset_stays_until_reset),
		TEST(test_failed_before_it_ran),
		TEST(test_reset_at_every_state),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
