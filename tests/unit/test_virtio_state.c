// SPDX-License-Identifier: MIT
/* test_virtio_state.c - what every virtio device has, saved and loaded: a driver notices nothing */

#include "virtio_dev_rig.h"

#include "state_rig.h"

/* A new device in the place of the one that was saved, over the same memory. */
static void replace(struct rig *rig)
{
	struct fake_machine *machine = rig->machine;
	struct diag diag;

	virtio_close(rig->dev);
	memset(rig->fake, 0, sizeof(*rig->fake));
	memset(&rig->counter.n_signals, 0, sizeof(rig->counter.n_signals));
	rig->counter.n_config_signals = 0;
	memset(machine->bound, 0, sizeof(machine->bound));
	rig->dev->config = rig->fake->config;
	rig->dev->config_size = FAKE_CONFIG;
	assert_int_equal(virtio_dev_init(rig->dev, &fake_class, &machine->env, FAKE_FEATURES,
				 FAKE_QUEUES, FAKE_QUEUE_SIZE, &diag),
		0);
	rig->dev->transport = &rig->counter.transport;
}

/* And it goes on. */
static void move(struct rig *rig)
{
	struct state_writer file = rig_save(rig->dev);
	struct diag diag;

	replace(rig);
	if (rig_load(&file, rig->dev, &diag))
		fail_msg("%s", diag.text);
	assert_true(rig->dev->is_quiet);
	virtio_resume(rig->dev);
	state_free(&file);
}

static void expect_refusal(
	struct rig *rig, const struct state_writer *file, int ret, const char *why)
{
	struct diag diag;

	replace(rig);
	assert_int_equal(rig_load(file, rig->dev, &diag), ret);
	if (strcmp(diag.text, why) != 0)
		fail_msg("'%s' is not '%s'", diag.text, why);
	assert_int_equal(rig->fake->n_serve, 0);
}

/* ---- in use ---- */

static void test_in_the_middle_of_use(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	for (unsigned int i = 0; i < 5; i++) {
		offer(rig, 1, 3);
		kick(rig, 1);
		assert_int_equal(rig->fake->n_serve, 3);
		assert_int_equal(rig_n_used(&rig->ring[1]), 3);
		while (rig_n_used(&rig->ring[1]))
			rig_take(&rig->ring[1]);
		move(rig);
		assert_int_equal(rig->dev->status, S_RUNNING);
		assert_int_equal(rig->fake->n_started, 1);
		assert_true(rig->machine->bound[0] && rig->machine->bound[1]);
		assert_int_equal(rig->dev->features, VERSION_1);
		fake_run_loop(rig->machine);
		assert_int_equal(rig->fake->n_serve, 0);
		assert_int_equal(rig->counter.n_signals[1], 0);
	}
}

/* What was offered and not served, of which the first device had heard, or nobody. */
static void test_what_is_pending_is_served(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;
	struct diag diag;

	bring_up(rig, RING_BITS);
	*rig_used_event(&rig->ring[1]) = 1;
	offer(rig, 1, 2);
	file = rig_save(rig->dev);
	virtio_kick(rig->dev, 1); /* not heard any more */
	replace(rig);
	assert_int_equal(rig_load(&file, rig->dev, &diag), 0);
	assert_int_equal(rig->fake->n_serve, 0); /* it is quiet yet */
	virtio_kick(rig->dev, 1);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->fake->n_serve, 0);
	virtio_resume(rig->dev);
	assert_int_equal(rig->fake->n_resumed, 1);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->fake->n_serve, 2);
	assert_int_equal(rig_n_used(&rig->ring[1]), 2);
	assert_int_equal(rig->counter.n_signals[1], 1);
	state_free(&file);
}

/* The driver asked for no interrupt before the third; with the index where it is, across a copy. */
static void test_events_go_on(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, RING_BITS);
	offer(rig, 1, 1);
	kick(rig, 1); /* the first is always told */
	assert_int_equal(rig->counter.n_signals[1], 1);
	*rig_used_event(&rig->ring[1]) = 3;
	offer(rig, 1, 1);
	kick(rig, 1);
	move(rig);
	assert_true(rig->dev->queue[1].vq.event_idx);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig->counter.n_signals[1], 0);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig->counter.n_signals[1], 1);
	assert_int_equal(rig_n_used(&rig->ring[1]), 4);
}

/* One that the driver was told of is not told of again. */
static void test_event_that_is_over(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, RING_BITS);
	*rig_used_event(&rig->ring[1]) = 1;
	offer(rig, 1, 2);
	kick(rig, 1);
	assert_int_equal(rig->counter.n_signals[1], 1);
	move(rig);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig_n_used(&rig->ring[1]), 3);
	assert_int_equal(rig->counter.n_signals[1], 0);
}

/* What the first was asked is done by it: the other does not do it again. */
static void test_in_flight(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	rig->fake->holds = true;
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 0);
	move(rig);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	fake_run_loop(rig->machine);
	assert_int_equal(rig->fake->n_serve, 0);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig->fake->n_serve, 1);
	assert_int_equal(rig_n_used(&rig->ring[0]), 2);
}

/* The machine that was saved goes on, too. */
static void test_the_first_goes_on(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;

	bring_up(rig, VERSION_1);
	offer(rig, 1, 1);
	kick(rig, 1);
	file = rig_save(rig->dev);
	state_free(&file);
	offer(rig, 1, 1);
	virtio_resume(rig->dev);
	fake_run_loop(rig->machine);
	assert_int_equal(rig_n_used(&rig->ring[1]), 2);
	assert_int_equal(rig->fake->n_serve, 2);
}

/* ---- not in use, or not any more ---- */

static void test_without_driver(void **state)
{
	struct rig *rig = *state;

	move(rig);
	assert_int_equal(rig->dev->status, 0);
	assert_int_equal(rig->fake->n_started, 0);
	bring_up(rig, RING_BITS);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig->fake->n_serve, 1);
}

/* A driver may write what it likes before features are agreed upon, and be told then. */
static void test_amid_negotiation(void **state)
{
	struct rig *rig = *state;

	virtio_set_status(rig->dev, S_DRIVER);
	set_features(rig, VERSION_1 | VIRTIO_BIT(4));
	move(rig);
	assert_int_equal(rig->dev->status, S_DRIVER);
	assert_true(rig->dev->features == (VERSION_1 | VIRTIO_BIT(4)));
	virtio_set_status(rig->dev, S_FEATURES_OK);
	assert_int_equal(rig->dev->status, S_DRIVER);
	set_features(rig, VERSION_1);
	virtio_set_status(rig->dev, S_FEATURES_OK);
	assert_int_equal(rig->dev->status, S_FEATURES_OK);
	/* With one queue set up, and the other described. */
	enable(rig, 1);
	rig_place(&rig->ring[0], virtio_queue(rig->dev, 0));
	move(rig);
	assert_int_equal(rig->dev->queue[0].vq.desc_at, rig->ring[0].desc_at);
	assert_int_equal(rig->dev->queue[0].vq.size, rig->ring[0].size);
	assert_true(rig->dev->queue[1].vq.enabled);
	assert_int_equal(rig->fake->n_started, 0);
	virtio_enable_queue(rig->dev, 0);
	virtio_set_status(rig->dev, S_RUNNING);
	assert_int_equal(rig->fake->n_started, 1);
	offer(rig, 0, 1);
	kick(rig, 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
}

static void test_that_has_failed(void **state)
{
	struct rig *rig = *state;

	bring_up(rig, VERSION_1);
	virtio_fail(rig->dev, "for a test");
	move(rig);
	assert_int_equal(rig->fake->n_started, 0);
	check_dead(rig);
	virtio_set_status(rig->dev, 0);
	bring_up(rig, VERSION_1);
	offer(rig, 1, 1);
	kick(rig, 1);
	assert_int_equal(rig->fake->n_serve, 1);
}

/* A change of which the driver has not heard. */
static void test_owed_change(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;
	uint8_t generation;
	struct diag diag;

	bring_up(rig, VERSION_1);
	virtio_config_changed(rig->dev);
	virtio_quiesce(rig->dev);
	virtio_config_changed(rig->dev);
	generation = (uint8_t)rig->dev->config_generation;
	file = rig_save(rig->dev);
	replace(rig);
	assert_int_equal(rig_load(&file, rig->dev, &diag), 0);
	assert_int_equal(rig->counter.n_config_signals, 0);
	virtio_resume(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 1);
	assert_int_equal((uint8_t)rig->dev->config_generation, generation);
	virtio_quiesce(rig->dev);
	virtio_resume(rig->dev);
	assert_int_equal(rig->counter.n_config_signals, 1);
	state_free(&file);
}

/* ---- hostile files ---- */

static const struct {
	const struct state_table *table;
	const char *field;
	uint64_t value;
	int ret;
	const char *why;
} changes[] = {
	{ &virtio_state, "n_queues", 1, -EINVAL, "fake in slot 0: it has 2 queues, and had 1" },
	{ &virtio_state, "n_queues", UINT32_MAX, -EINVAL,
		"fake in slot 0: it has 2 queues, and had 4294967295" },
	{ &virtio_state, "features", VERSION_1 | VIRTIO_BIT(63), -ENOTSUP,
		"fake in slot 0: its driver uses features that it does not offer any more: bits "
		"0x8000000000000000" },
	{ &virtio_state, "features", VIRTIO_BIT(3), -EBADMSG,
		"fake in slot 0: its features are none that can be agreed upon" },
	{ &virtio_state, "status", S_DRIVER | VIRTIO_CONFIG_S_DRIVER_OK, -EBADMSG,
		"fake in slot 0: its status is none that a driver can have set" },
	{ &virtio_state, "status", S_DRIVER, -EBADMSG,
		"fake in slot 0: queue 0 is none that a driver can have set up" },
	{ &virtio_state, "owes_config", 2, -EBADMSG,
		"fake in slot 0: virtio 0: owes_config is not as it should be" },
	{ &virtq_state, "size", 0, -EBADMSG, NULL },
	{ &virtq_state, "size", 7, -EBADMSG, NULL },
	{ &virtq_state, "size", 2048, -EBADMSG, NULL },
	{ &virtq_state, "size", 0x8000, -EBADMSG, NULL },
	{ &virtq_state, "desc_at", RIG_REGION, -EBADMSG, NULL },
	{ &virtq_state, "desc_at", RIG_REGION - 16, -EBADMSG, NULL },
	{ &virtq_state, "desc_at", 8, -EBADMSG, NULL },
	{ &virtq_state, "avail_at", UINT64_MAX, -EBADMSG, NULL },
	{ &virtq_state, "avail_at", UINT64_MAX - 1, -EBADMSG, NULL },
	{ &virtq_state, "avail_at", 0xc0000000, -EBADMSG, NULL },
	{ &virtq_state, "used_at", RIG_HIGH + RIG_REGION - 8, -EBADMSG, NULL },
	{ &virtq_state, "used_at", 2, -EBADMSG, NULL },
	{ &virtq_state, "next_used", 0x8000, -EBADMSG, NULL },
	{ &virtq_state, "next_avail", 9, -EBADMSG, NULL }, /* of 8 */
	{ &virtq_state, "next_avail", 0xffff, -EBADMSG, NULL },
	{ &virtq_state, "enabled", 2, -EBADMSG,
		"fake in slot 0: virtq 0: enabled is not as it should be" },
};

static void test_hostile_values(void **state)
{
	struct rig *rig = *state;

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		struct state_writer file;

		bring_up(rig, VERSION_1);
		file = rig_save(rig->dev);
		rig_change(&file, changes[i].table, 0, changes[i].field, changes[i].value);
		expect_refusal(rig, &file, changes[i].ret,
			changes[i].why ? changes[i].why
				       : "fake in slot 0: queue 0 is none that a driver can "
					 "have set up");
		replace(rig);
		state_free(&file);
	}
}

/* What is not enabled is not looked at; the driver may set it yet. */
static void test_values_of_a_queue_that_rests(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;
	struct diag diag;

	agree(rig, VERSION_1);
	file = rig_save(rig->dev);
	rig_change(&file, &virtq_state, 1, "desc_at", UINT64_MAX);
	rig_change(&file, &virtq_state, 1, "size", 0xffff);
	rig_change(&file, &virtq_state, 1, "next_avail", 0xffff);
	replace(rig);
	assert_int_equal(rig_load(&file, rig->dev, &diag), 0);
	virtio_resume(rig->dev);
	assert_false(rig->dev->queue[1].vq.enabled);
	assert_int_equal(rig->dev->queue[1].vq.next_avail, 0);
	virtio_enable_queue(rig->dev, 1);
	assert_true(rig->dev->status & S_FAILED);
	assert_false(rig->dev->queue[1].vq.enabled);
	state_free(&file);
}

/* A section is missing, or there is one more. */
static void test_sections(void **state)
{
	struct rig *rig = *state;
	struct state_writer file = rig_save(rig->dev);
	struct state_writer less = rig_file();
	const struct virtq vq = { 0 };

	state_free(&file);
	state_save(&less, &virtio_state, 0, rig->dev);
	state_save(&less, &virtq_state, 0, &vq);
	assert_int_equal(state_finish(&less), 0);
	expect_refusal(
		rig, &less, -ENOENT, "fake in slot 0: says nothing of virtq 1: it is damaged");
	state_save(&less, &virtq_state, 1, &vq);
	state_save(&less, &virtq_state, 2, &vq);
	assert_int_equal(state_finish(&less), 0);
	expect_refusal(rig, &less, -ENOTSUP,
		"has a virtq 2, of which this pronto knows nothing: a newer one reads it");
	state_free(&less);
}

static void test_back_end_that_does_not_start(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;
	struct diag diag;

	bring_up(rig, VERSION_1);
	file = rig_save(rig->dev);
	replace(rig);
	rig->fake->start_ret = -EIO;
	assert_int_equal(rig_load(&file, rig->dev, &diag), -EIO);
	assert_string_equal(diag.text, "fake in slot 0: its back end does not take it up");
	assert_false(rig->machine->bound[0]);
	state_free(&file);
}

/* ---- what cannot be saved ---- */

static void test_reasons_not_to(void **state)
{
	struct rig *rig = *state;

	assert_null(virtio_why_not_saved(rig->dev));
	rig->dev->lost = true;
	assert_string_equal(
		virtio_why_not_saved(rig->dev), "what was behind it on the host is gone");
	rig->dev->lost = false;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_in_the_middle_of_use),
		TEST(test_what_is_pending_is_served),
		TEST(test_events_go_on),
		TEST(test_event_that_is_over),
		TEST(test_in_flight),
		TEST(test_the_first_goes_on),
		TEST(test_without_driver),
		TEST(test_amid_negotiation),
		TEST(test_that_has_failed),
		TEST(test_owed_change),
		TEST(test_hostile_values),
		TEST(test_values_of_a_queue_that_rests),
		TEST(test_sections),
		TEST(test_back_end_that_does_not_start),
		TEST(test_reasons_not_to),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
