// SPDX-License-Identifier: MIT
/* test_virtio_queues.c - what every virtio device has: queues, kicks, configuration space */

#include "virtio_dev_rig.h"

#include <poll.h>
#include <unistd.h>

/* ---- queues ---- */

static void test_no_such_queue(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	assert_null(virtio_queue(rig->dev, FAKE_QUEUES));
	assert_null(virtio_queue(rig->dev, UINT32_MAX));
	virtio_enable_queue(rig->dev, FAKE_QUEUES);
	virtio_reset_queue(rig->dev, FAKE_QUEUES);
	virtio_reset_queue(rig->dev, UINT32_MAX);
	virtio_kick(rig->dev, FAKE_QUEUES);
	virtio_kick(rig->dev, UINT32_MAX);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->dev->status, S_RUNNING);
}

static void test_queue_reset_and_enabled_again(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, RING_BITS);
	assert_true(rig->machine->bound[0] && rig->machine->bound[1]);
	offer(rig, 0, 5);
	kick(rig, 0);
	virtio_kick(rig->dev, 0); /* comes when it has ended */
	virtio_reset_queue(rig->dev, 0);
	assert_int_equal(rig->fake->n_stopped[0], 1);
	assert_false(rig->machine->bound[0]);
	assert_true(rig->machine->bound[1]);
	virtio_reset_queue(rig->dev, 0); /* has none */
	assert_int_equal(rig->fake->n_stopped[0], 1);
	offer(rig, 0, 1);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->fake->n_serve, 5);
	enable(rig, 0);
	assert_true(rig->machine->bound[0]);
	offer(rig, 0, 2);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 2);
	/* The other knew nothing of it. */
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig_n_used(&rig->ring[1]), 1);
	assert_int_equal(rig->fake->n_stopped[1], 0);
}

static void test_enabled_twice(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	offer(rig, 0, 3);
	kick(rig, 0);
	virtio_enable_queue(rig->dev, 0);
	assert_int_equal(virtio_queue(rig->dev, 0)->next_avail, 3);
	assert_int_equal(rig->machine->n_binds, 2);
}

/* KVM refuses: then each kick comes by an access. */
static void test_without_doorbells(void **state)
{
	struct rig *rig = *state;

	rig->machine->bind_ret = -ENOSPC;
	bring_up(rig, VERSION_1);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	virtio_set_status(rig->dev, 0);
	assert_int_equal(rig->machine->n_binds, 2);
	assert_int_equal(rig->machine->n_unbinds, 0);
}

/* ---- kicks ---- */

static void test_available_before_it_is_ready(void **state)
{
	struct rig *rig = *state;

	agree(rig, VERSION_1);
	enable(rig, 0);
	offer(rig, 0, 2);
	kick(rig, 0);
	assert_int_equal(rig->fake->n_serve, 0);
	virtio_set_status(rig->dev, S_RUNNING);
	fake_run_loop(rig->machine);
	assert_int_equal(rig_n_used(&rig->ring[0]), 2);
	assert_int_equal(rig->counter.n_signals[0], 1);
}

static void test_signals(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	kick(rig, 0);
	assert_int_equal(rig->counter.n_signals[0], 0); /* for nothing */
	offer(rig, 0, 3);
	kick(rig, 0);
	assert_int_equal(rig->counter.n_signals[0], 1); /* for all of them */
	rig_avail(&rig->ring[0])->flags = VRING_AVAIL_F_NO_INTERRUPT;
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig->counter.n_signals[0], 1);
	assert_int_equal(rig->counter.n_signals[1], 0);
	assert_int_equal(rig_used(&rig->ring[0])->flags, 0); /* kicks are wanted */
}

static void test_event_indices(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, RING_BITS);
	offer(rig, 0, 3);
	kick(rig, 0);
	assert_int_equal(rig_avail_event(&rig->ring[0]), 3);
	assert_int_equal(rig->counter.n_signals[0], 1);
	*rig_used_event(&rig->ring[0]) = 4;
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig->counter.n_signals[0], 1);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig->counter.n_signals[0], 2);
	assert_int_equal(rig_used(&rig->ring[0])->flags, 0);
}

static void other_ready(void *ctx, uint32_t events)
{
	struct rig *rig = ctx;

	rig->served_before[rig->n_other++ % ARRAY_SIZE(rig->served_before)] = rig->fake->n_serve;
	if (rig->n_other >= rig->stop_at)
		loop_stop(&rig->machine->loop);
}

/* A queue of more than is served at once comes back when others have had their turn. */
static void test_budget(void **state)
{
	struct rig *rig = *state;

	rig->ring[0].size = FAKE_QUEUE_SIZE;
	bring_up(rig, VERSION_1);
	offer(rig, 0, 2 * VIRTIO_BUDGET + 7);
	rig->stop_at = 4;
	rig->other = (struct loop_source){ loop_timer_create(1, 1), other_ready, rig, NULL };
	assert_int_equal(loop_add(&rig->machine->loop, &rig->other, EPOLLIN), 0);
	loop_counter_read(rig->other.fd);
	poll(&(struct pollfd){ rig->other.fd, POLLIN, 0 }, 1, -1); /* ready from here on */
	virtio_kick(rig->dev, 0);
	assert_int_equal(loop_run(&rig->machine->loop), 0);
	loop_remove(&rig->machine->loop, &rig->other);
	close(rig->other.fd);
	assert_int_equal(rig->fake->n_turns, 3);
	assert_int_equal(rig->fake->turn[0], VIRTIO_BUDGET);
	assert_int_equal(rig->fake->turn[1], VIRTIO_BUDGET);
	assert_int_equal(rig->fake->turn[2], 7);
	assert_true(rig->served_before[1] <= VIRTIO_BUDGET * 2);
	assert_true(rig->served_before[1] - rig->served_before[0] <= VIRTIO_BUDGET);
	assert_int_equal(rig_n_used(&rig->ring[0]), 2 * VIRTIO_BUDGET + 7);
	/* Exactly as many as are served at once: none is left behind. */
	for (unsigned int more = 0; more < 2; more++) {
		offer(rig, 0, VIRTIO_BUDGET + more);
		kick(rig, 0);
		assert_false(virtq_is_pending(virtio_queue(rig->dev, 0)));
		assert_int_equal(rig_used(&rig->ring[0])->flags, 0);
	}
}

/* A chain that cannot be had now goes back, and is found again. */
static void test_not_now(void **state)
{
	struct rig *rig = *state;
	struct virtq *vq = virtio_queue(rig->dev, 0);

	bring_up(rig, VERSION_1);
	rig->fake->serve_ret = -EAGAIN;
	offer(rig, 0, 2);
	kick(rig, 0);
	assert_int_equal(rig->fake->n_serve, 1);
	assert_int_equal(rig->dev->status, S_RUNNING);
	assert_true(virtq_is_pending(vq));
	rig->fake->serve_ret = 0;
	virtio_kick_later(vq);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->fake->n_serve, 3);
	assert_int_equal(rig_take(&rig->ring[0]).id, 0);
	assert_int_equal(rig_take(&rig->ring[0]).id, 1);
}

static void test_rules_broken(void **state)
{
	struct rig *rig = *state;

	for (int by_device = 0; by_device < 2; by_device++) {
		bring_up(rig, VERSION_1);
		offer(rig, 0, 1);
		if (by_device)
			rig->fake->serve_ret = -EBADMSG;
		rig_offer_one(&rig->ring[0], 1, by_device ? 0x20000 : 0xc0000000, 4, 0);
		kick(rig, 0);
		/* What came before is answered. */
		assert_int_equal(rig_n_used(&rig->ring[0]), !by_device);
		assert_int_equal(rig->counter.n_signals[0], 1);
		assert_int_equal(rig->counter.n_config_signals, by_device + 1);
		check_dead(rig);
		virtio_set_status(rig->dev, 0);
	}
}

/* ---- configuration space ---- */

static void test_read_config(void **state)
{
	struct rig *rig = *state;

	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint64_t offset = 0; offset < FAKE_CONFIG + 20; offset++) {
			uint64_t expected = 0;

			for (unsigned int i = 0; i < size; i++)
				if (offset + i < FAKE_CONFIG)
					expected |= (0xa0 + offset + i) << 8 * i;
			assert_true(virtio_read_config(rig->dev, offset, size) == expected);
		}
	assert_true(virtio_read_config(rig->dev, UINT64_MAX, 8) == 0);
	assert_true(virtio_read_config(rig->dev, UINT64_MAX - 7, 8) == 0);
}

static void test_write_config(void **state)
{
	struct rig *rig = *state;
	unsigned int n = 0;

	for (unsigned int size = 1; size <= 8; size *= 2)
		for (uint64_t offset = 0; offset < FAKE_CONFIG + 20; offset++) {
			virtio_write_config(rig->dev, offset, size, 0x1122334455667788);
			n += offset + size <= FAKE_CONFIG;
			assert_int_equal(rig->fake->n_writes, n);
			if (offset + size <= FAKE_CONFIG)
				assert_true(rig->fake->write_offset == offset &&
					    rig->fake->write_size == size &&
					    rig->fake->write_value == 0x1122334455667788);
		}
	virtio_write_config(rig->dev, UINT64_MAX, 8, 0);
	virtio_write_config(rig->dev, UINT64_MAX - 3, 4, 0);
	assert_int_equal(rig->fake->n_writes, n);
}

static void test_config_changed(void **state)
{
	struct rig *rig = *state;
	uint8_t generation = rig->dev->config_generation;

	virtio_config_changed(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 0); /* nobody is there */
	assert_int_not_equal(rig->dev->config_generation, generation);
	bring_up(rig, VERSION_1);
	generation = rig->dev->config_generation;
	virtio_config_changed(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 1);
	assert_int_not_equal(rig->dev->config_generation, generation);
}

/* ---- the machine's pause ---- */

/* What is asked for meanwhile is heard, and done when it goes on. */
static void test_quiet(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	virtio_quiesce(rig->dev);
	assert_int_equal(rig->fake->n_quiesced, 1);
	offer(rig, 0, 3);
	kick(rig, 0);
	virtio_serve(rig->dev, virtio_queue(rig->dev, 0));
	assert_int_equal(rig->fake->n_serve, 0);
	assert_int_equal(rig->fake->n_turns, 0);
	assert_int_equal(rig->counter.n_signals[0], 0);
	virtio_resume(rig->dev);
	assert_int_equal(rig->fake->n_resumed, 1);
	fake_run_loop(rig->machine);
	assert_int_equal(rig_n_used(&rig->ring[0]), 3);
	assert_int_equal(rig->counter.n_signals[0], 1);
	assert_int_equal(rig->fake->turn[0], 3); /* and not the one that has nothing */
	assert_int_equal(rig->fake->n_turns, 1);
}

/* What is in flight is done, and told, before all is quiet. */
static void test_quiet_with_something_in_flight(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	rig->fake->holds = true;
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 0);
	virtio_quiesce(rig->dev);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	assert_int_equal(rig->counter.n_signals[0], 1);
}

/* However often it changes, the guest looks once. */
static void test_quiet_configuration(void **state)
{
	struct rig *rig = *state;
	uint8_t generation = rig->dev->config_generation;

	bring_up(rig, VERSION_1);
	virtio_quiesce(rig->dev);
	virtio_config_changed(rig->dev);
	virtio_config_changed(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 0);
	assert_int_not_equal(rig->dev->config_generation, generation);
	virtio_resume(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 1);
	virtio_quiesce(rig->dev);
	virtio_resume(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 1);
}

/* It is as quiet as before, and owes the next driver nothing. */
static void test_reset_while_quiet(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	virtio_quiesce(rig->dev);
	virtio_config_changed(rig->dev);
	offer(rig, 0, 1);
	virtio_kick(rig->dev, 0);
	virtio_reset(rig->dev);
	bring_up(rig, VERSION_1);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig->fake->n_serve, 0);
	virtio_resume(rig->dev);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->counter.n_config_signals, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 0);
	assert_int_equal(rig_n_used(&rig->ring[1]), 1);
}

/* ---- the end ---- */

static void test_close_stops_queues(void **state)
{
	struct fake_machine *machine;
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	machine = rig->machine;
	virtio_close(rig->dev);
	assert_int_equal(rig->fake->n_stopped[0], 1);
	assert_int_equal(rig->fake->n_stopped[1], 1);
	assert_int_equal(rig->fake->n_closed, 1);
	loop_fini(&machine->loop);
	rig_mem_fini(&machine->mem);
	free(machine);
	free(rig);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_no_such_queue),
		TEST(test_queue_reset_and_enabled_again),
		TEST(test_enabled_twice),
		TEST(test_without_doorbells),
		TEST(test_available_before_it_is_ready),
		TEST(test_signals),
		TEST(test_event_indices),
		TEST(test_budget),
		TEST(test_not_now),
		TEST(test_rules_broken),
		TEST(test_read_config),
		TEST(test_write_config),
		TEST(test_config_changed),
		TEST(test_quiet),
		TEST(test_quiet_with_something_in_flight),
		TEST(test_quiet_configuration),
		TEST(test_reset_while_quiet),
		cmocka_unit_test_setup(test_close_stops_queues, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
