// SPDX-License-Identifier: MIT
/* test_balloon.c - pages that a guest gives, and what it says of its memory */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "class_rig.h"
#include "dev/balloon.h"

#include <errno.h>
#include <linux/virtio_balloon.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define PAGE 4096u

static int set_up(void **state)
{
	*state = class_rig_create();
	return 0;
}

static int tear_down(void **state)
{
	class_rig_destroy(*state);
	return 0;
}

static void start(struct class_rig *rig, const struct balloon_options *options, uint64_t features)
{
	class_rig_open(rig, &balloon_class, options);
	class_rig_start(rig, features);
}

static bool has_pages(const struct class_rig *rig, gpa_t gpa, unsigned int n)
{
	unsigned char in[8];

	assert_int_equal(mincore(rig_at(&rig->mem, gpa, n * PAGE), n * PAGE, in), 0);
	for (unsigned int i = 0; i < n; i++)
		if (in[i] & 1)
			return true;
	return false;
}

static void touch(const struct class_rig *rig, gpa_t gpa, unsigned int n)
{
	memset(rig_at(&rig->mem, gpa, n * PAGE), 0x5a, n * PAGE);
}

static void inflate(struct class_rig *rig, const uint32_t *pfn, uint32_t n)
{
	memcpy(rig_at(&rig->mem, 0x8000, n * 4), pfn, n * 4);
	rig_offer_one(&rig->ring[0], 0, 0x8000, n * 4, 0);
	class_rig_serve(rig, 0);
}

/* Runs, single pages, and numbers of no RAM among them. */
static void test_pages_go_back(void **state)
{
	static const struct balloon_options options = { .size = 16 * PAGE };
	static const uint32_t pfn[] = { 0x10, 0x11, 0x12, 0x20, UINT32_MAX, 0x100000, 0x3f, 0x40 };
	struct class_rig *rig = *state;

	start(rig, &options, 0);
	assert_int_equal(virtio_read_config(rig->dev, 0, 4), 16);
	touch(rig, 0x10000, 4);
	touch(rig, 0x20000, 1);
	touch(rig, RIG_HIGH, 1);
	touch(rig, 0x3f000, 1);
	inflate(rig, pfn, sizeof(pfn) / 4);
	assert_false(has_pages(rig, 0x10000, 3));
	assert_true(has_pages(rig, 0x13000, 1));
	assert_false(has_pages(rig, 0x20000, 1));
	assert_false(has_pages(rig, RIG_HIGH, 1));
	assert_int_equal(rig_n_used(&rig->ring[0]), 1);
	assert_int_equal(rig_take(&rig->ring[0]).len, 0);
	assert_int_equal(rig->n_signals, 1);
	assert_int_equal(*(uint8_t *)rig_at(&rig->mem, 0x10000, 1), 0);
	/* A run of which a part is no RAM stays as it is. */
	assert_true(has_pages(rig, 0x3f000, 1));
	assert_false(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_deflate_is_answered(void **state)
{
	static const struct balloon_options options = { 0 };
	struct class_rig *rig = *state;

	start(rig, &options, 0);
	touch(rig, 0x10000, 1);
	*(uint32_t *)rig_at(&rig->mem, 0x8000, 4) = 0x10;
	rig_offer_one(&rig->ring[1], 3, 0x8000, 4, 0);
	class_rig_serve(rig, 1);
	assert_int_equal(rig_take(&rig->ring[1]).id, 3);
	assert_true(has_pages(rig, 0x10000, 1));
}

static void test_too_many_pages(void **state)
{
	static const struct balloon_options options = { 0 };
	struct class_rig *rig = *state;

	start(rig, &options, 0);
	rig_offer_one(&rig->ring[0], 0, 0x8000, 4096 * 4 + 4, 0);
	class_rig_serve(rig, 0);
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* The report's queue is the one behind the last that was agreed upon. */
static void test_reports(void **state)
{
	static const struct balloon_options options = { .reporting = true };
	struct class_rig *rig = *state;

	start(rig, &options, 1u << VIRTIO_BALLOON_F_REPORTING);
	touch(rig, 0x10000, 4);
	rig_offer_one(&rig->ring[2], 0, 0x10000 + 1, 3 * PAGE, VRING_DESC_F_WRITE);
	class_rig_serve(rig, 2);
	assert_true(has_pages(rig, 0x10000, 1));
	assert_false(has_pages(rig, 0x11000, 2));
	assert_true(has_pages(rig, 0x13000, 1));
	assert_int_equal(rig_n_used(&rig->ring[2]), 1);
}

/* A guest that fills its free pages finds what it filled them with. */
static void test_poisoned_pages_stay(void **state)
{
	static const struct balloon_options options = { .reporting = true };
	struct class_rig *rig = *state;

	start(rig, &options, 1u << VIRTIO_BALLOON_F_REPORTING | 1u << VIRTIO_BALLOON_F_PAGE_POISON);
	virtio_write_config(
		rig->dev, offsetof(struct virtio_balloon_config, poison_val), 4, 0xaaaaaaaa);
	touch(rig, 0x10000, 1);
	rig_offer_one(&rig->ring[2], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	class_rig_serve(rig, 2);
	assert_true(has_pages(rig, 0x10000, 1));
	assert_int_equal(rig_n_used(&rig->ring[2]), 1);
	virtio_write_config(rig->dev, offsetof(struct virtio_balloon_config, poison_val), 4, 0);
	rig_offer_one(&rig->ring[2], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	class_rig_serve(rig, 2);
	assert_false(has_pages(rig, 0x10000, 1));
}

/* The buffer is kept until the time has come, and then goes back to be filled anew. */
static void test_statistics(void **state)
{
	static const struct balloon_options options = { .stats_s = 1 };
	static const uint8_t stats[] = { 4, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 1, 1, 1, 1, 1, 1,
		1, 1, 7 };
	struct class_rig *rig = *state;

	start(rig, &options, 1u << VIRTIO_BALLOON_F_STATS_VQ);
	memcpy(rig_at(&rig->mem, 0x8000, sizeof(stats)), stats, sizeof(stats));
	rig_offer_one(&rig->ring[2], 5, 0x8000, sizeof(stats), 0);
	class_rig_serve(rig, 2);
	assert_int_equal(rig_n_used(&rig->ring[2]), 0);
	while (!rig_n_used(&rig->ring[2]))
		assert_true(class_rig_turn(rig, 10000));
	assert_int_equal(rig_take(&rig->ring[2]).id, 5);
	assert_int_equal(rig->n_signals, 1);
	/* Two at once are one too many. */
	rig_offer_one(&rig->ring[2], 5, 0x8000, sizeof(stats), 0);
	rig_offer_one(&rig->ring[2], 6, 0x8000, sizeof(stats), 0);
	class_rig_serve(rig, 2);
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_set_status(rig->dev, 0);
	assert_int_equal(rig->dev->status, 0);
}

/* A guest that begins anew and anew fills nobody's log: it is told as often as it was asked. */
static void test_statistics_that_nobody_asked_for(void **state)
{
	static const struct balloon_options options = { .stats_s = 3600 };
	struct class_rig *rig = *state;
	int said[2], saved = dup(STDERR_FILENO);
	char text[1024];

	assert_int_equal(pipe(said), 0);
	start(rig, &options, 1u << VIRTIO_BALLOON_F_STATS_VQ);
	dup2(said[1], STDERR_FILENO);
	log_set_level(LOG_LEVEL_INFO);
	for (unsigned int i = 0; i < 9; i++) {
		rig_offer_one(&rig->ring[2], 0, 0x8000, 10, 0);
		class_rig_serve(rig, 2);
		virtio_set_status(rig->dev, 0);
		class_rig_start(rig, 1u << VIRTIO_BALLOON_F_STATS_VQ);
	}
	log_set_level(LOG_LEVEL_WARN);
	dup2(saved, STDERR_FILENO);
	close(said[1]);
	text[read(said[0], text, sizeof(text) - 1)] = '\0';
	assert_string_equal(text, "pronto: info: balloon: swap-in=0\n");
	close(said[0]);
	close(saved);
}

/* ---- hints ---- */

#define HINTS    2 /* their queue, where there are no statistics */
#define HINT_BIT (1u << VIRTIO_BALLOON_F_FREE_PAGE_HINT)

static const struct balloon_options hinting = { .hinting = true };

static int command(struct class_rig *rig, const char *what, char json[64], struct diag *diag)
{
	*json = 0;
	return balloon_class.command(rig->dev, what, json, 64, diag);
}

static void must(struct class_rig *rig, const char *what)
{
	struct diag diag;
	char json[64];

	assert_int_equal(command(rig, what, json, &diag), 0);
	assert_string_equal(json, "");
}

static void check_status(struct class_rig *rig, const char *expected)
{
	struct diag diag;
	char json[64];

	assert_int_equal(command(rig, BALLOON_HINTS_STATUS, json, &diag), 0);
	assert_string_equal(json, expected);
}

static uint32_t asked(const struct class_rig *rig)
{
	return (uint32_t)virtio_read_config(
		rig->dev, offsetof(struct virtio_balloon_config, free_page_hint_cmd_id), 4);
}

/* The driver's side: as a vCPU kicks, with nobody at the loop. */
static void say(struct class_rig *rig, uint32_t word)
{
	*(uint32_t *)rig_at(&rig->mem, 0x8000, 4) = word;
	rig_offer_one(&rig->ring[HINTS], 0, 0x8000, 4, 0);
	virtio_kick(rig->dev, HINTS);
	assert_int_equal(rig_take(&rig->ring[HINTS]).len, 0);
}

/* Whether the page goes. */
static bool hint_goes(struct class_rig *rig)
{
	touch(rig, 0x10000, 1);
	rig_offer_one(&rig->ring[HINTS], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	virtio_kick(rig->dev, HINTS);
	assert_int_equal(rig_take(&rig->ring[HINTS]).len, 0);
	return !has_pages(rig, 0x10000, 1);
}

/* A page is gone when the kick for it returns: later the guest may have taken it back. */
static void test_hints(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	check_status(rig, "{\"host_cmd\":0,\"guest_cmd\":null}");
	assert_false(hint_goes(rig)); /* nobody has asked */
	must(rig, BALLOON_HINTS_START);
	assert_int_equal(asked(rig), 2);
	assert_int_equal(rig->n_config_signals, 1);
	assert_false(hint_goes(rig)); /* for whom it is the driver has not said */
	say(rig, 2);
	check_status(rig, "{\"host_cmd\":2,\"guest_cmd\":2}");
	assert_true(hint_goes(rig));
	assert_true(hint_goes(rig));
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	check_status(rig, "{\"host_cmd\":1,\"guest_cmd\":0}");
	assert_int_equal(rig->n_config_signals, 2);
	assert_false(hint_goes(rig));
}

static void test_hints_that_are_kept(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	must(rig, BALLOON_HINTS_STOP); /* nothing began */
	assert_int_equal(asked(rig), VIRTIO_BALLOON_CMD_ID_STOP);
	must(rig, BALLOON_HINTS_START_KEEPING);
	say(rig, 2);
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	check_status(rig, "{\"host_cmd\":2,\"guest_cmd\":0}");
	assert_int_equal(rig->n_config_signals, 1);
	must(rig, BALLOON_HINTS_STOP);
	check_status(rig, "{\"host_cmd\":1,\"guest_cmd\":0}");
}

/* What is still on its way when the host is done with it may be in use again. */
static void test_hints_that_are_late(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	must(rig, BALLOON_HINTS_START);
	say(rig, 2);
	must(rig, BALLOON_HINTS_STOP);
	assert_false(hint_goes(rig));
	must(rig, BALLOON_HINTS_START);
	assert_false(hint_goes(rig));
	/* The end of a run that is over is not the end of the one that begins. */
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	assert_int_equal(asked(rig), 3);
	say(rig, 3);
	assert_true(hint_goes(rig));
	say(rig, VIRTIO_BALLOON_CMD_ID_DONE);
	assert_false(hint_goes(rig));
}

static void test_hints_of_nobody(void **state)
{
	static const struct balloon_options none = { .reporting = true };
	struct class_rig *rig = *state;
	struct diag diag;
	char json[64];

	/* A driver that takes none. */
	start(rig, &hinting, 0);
	assert_int_equal(command(rig, BALLOON_HINTS_START, json, &diag), -EBUSY);
	assert_string_equal(
		diag.text, "the guest has no driver that hints at free pages, or not yet");
	assert_int_equal(command(rig, "nonsense", json, &diag), -ENOSYS);
	virtio_close(rig->dev);
	class_rig_open(rig, &balloon_class, &none);
	for (unsigned int i = 0; i < 4; i++) {
		static const char *const commands[] = { BALLOON_HINTS_START,
			BALLOON_HINTS_START_KEEPING, BALLOON_HINTS_STOP, BALLOON_HINTS_STATUS };

		assert_int_equal(command(rig, commands[i], json, &diag), -EINVAL);
		assert_non_null(strstr(diag.text, "hinting is not enabled"));
	}
}

static void test_hints_and_a_reset(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	must(rig, BALLOON_HINTS_START);
	say(rig, 2);
	virtio_set_status(rig->dev, 0);
	check_status(rig, "{\"host_cmd\":0,\"guest_cmd\":null}");
	class_rig_start(rig, HINT_BIT);
	assert_false(hint_goes(rig));
	/* The end of a run that nobody has asked for since. */
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	check_status(rig, "{\"host_cmd\":0,\"guest_cmd\":0}");
	must(rig, BALLOON_HINTS_START);
	assert_int_equal(asked(rig), 3);
	/* A word that is none. */
	rig_offer_one(&rig->ring[HINTS], 0, 0x8000, 3, 0);
	virtio_kick(rig->dev, HINTS);
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* While the machine is paused nothing goes; what the driver was at is served before it goes on. */
static void test_hints_and_a_pause(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	must(rig, BALLOON_HINTS_START);
	say(rig, 2);
	virtio_quiesce(rig->dev);
	touch(rig, 0x10000, 1);
	rig_offer_one(&rig->ring[HINTS], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	virtio_kick(rig->dev, HINTS);
	assert_true(has_pages(rig, 0x10000, 1));
	virtio_resume(rig->dev);
	assert_false(has_pages(rig, 0x10000, 1));
}

/* All that there can be, in their order. */
static void test_all_queues(void **state)
{
	static const struct balloon_options all = {
		.hinting = true, .reporting = true, .stats_s = 3600
	};
	struct class_rig *rig = *state;

	start(rig, &all,
		HINT_BIT | 1u << VIRTIO_BALLOON_F_REPORTING | 1u << VIRTIO_BALLOON_F_STATS_VQ);
	assert_int_equal(rig->dev->n_queues, 5);
	for (unsigned int i = 0; i < 5; i++)
		assert_int_equal(rig->dev->queue[i].at_once, i == 3);
	rig_offer_one(&rig->ring[2], 0, 0x8000, 10, 0);
	class_rig_serve(rig, 2);
	assert_int_equal(rig_n_used(&rig->ring[2]), 0); /* statistics are kept */
	touch(rig, 0x10000, 1);
	rig_offer_one(&rig->ring[3], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	class_rig_serve(rig, 3);
	assert_true(has_pages(rig, 0x10000, 1));
	rig_offer_one(&rig->ring[4], 0, 0x10000, PAGE, VRING_DESC_F_WRITE);
	class_rig_serve(rig, 4);
	assert_false(has_pages(rig, 0x10000, 1));
}

/* ---- saved and loaded ---- */

#define STATS     2 /* the statistics' queue */
#define STATS_BIT (1u << VIRTIO_BALLOON_F_STATS_VQ)

static const struct balloon_options counting = { .size = 16 * PAGE, .stats_s = 1 };

static void check_description(struct class_rig *rig, const char *expected)
{
	char json[256];

	balloon_class.describe(rig->dev, json, sizeof(json));
	assert_string_equal(json, expected);
}

/* The buffer that the first has, the other has and gives back, once. */
static void test_statistics_in_a_copy(void **state)
{
	static const uint8_t stats[] = { 4, 0, 1, 2, 0, 0, 0, 0, 0, 0 };
	static const char description[] = "{\"target_pages\":16,\"actual_pages\":5,"
					  "\"target_mib\":0,\"actual_mib\":0,\"free_memory\":513}";
	struct class_rig *rig = *state;

	start(rig, &counting, STATS_BIT);
	virtio_write_config(rig->dev, offsetof(struct virtio_balloon_config, actual), 4, 5);
	memcpy(rig_at(&rig->mem, 0x8000, sizeof(stats)), stats, sizeof(stats));
	rig_offer_one(&rig->ring[STATS], 5, 0x8000, sizeof(stats), 0);
	class_rig_serve(rig, STATS);
	check_description(rig, description);
	for (int i = 0; i < 2; i++) {
		class_rig_move(rig, &balloon_class, &counting);
		check_description(rig, description);
		assert_int_equal(virtio_read_config(rig->dev, 4, 4), 5);
		assert_int_equal(rig_n_used(&rig->ring[STATS]), 0);
	}
	while (!rig_n_used(&rig->ring[STATS]))
		assert_true(class_rig_turn(rig, 10000));
	assert_int_equal(rig_take(&rig->ring[STATS]).id, 5);
	assert_int_equal(rig->n_signals, 1);
	class_rig_move(rig, &balloon_class, &counting);
	assert_true(class_rig_turn(rig, 10000)); /* it is asked for again */
	assert_int_equal(rig_n_used(&rig->ring[STATS]), 0);
	/* What was asked for is taken, and no more. */
	rig_offer_one(&rig->ring[STATS], 6, 0x8000, sizeof(stats), 0);
	class_rig_serve(rig, STATS);
	assert_false(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_hints_in_a_copy(void **state)
{
	struct class_rig *rig = *state;

	start(rig, &hinting, HINT_BIT);
	must(rig, BALLOON_HINTS_START);
	say(rig, 2);
	class_rig_move(rig, &balloon_class, &hinting);
	assert_int_equal(asked(rig), 2);
	check_status(rig, "{\"host_cmd\":2,\"guest_cmd\":2}");
	assert_true(hint_goes(rig));
	say(rig, VIRTIO_BALLOON_CMD_ID_STOP);
	check_status(rig, "{\"host_cmd\":1,\"guest_cmd\":0}");
	class_rig_move(rig, &balloon_class, &hinting);
	must(rig, BALLOON_HINTS_START);
	assert_int_equal(asked(rig), 3); /* no run has the number of one before */
}

/* A buffer that no driver can have given; and a device without statistics. */
static void test_hostile_statistics(void **state)
{
	static const struct balloon_options other = { .size = 16 * PAGE };
	static const char bad[] =
		"balloon in slot 0: the statistics' buffer is none that a driver can have given";
	struct class_rig *rig = *state;
	struct state_writer file;
	struct diag diag;

	start(rig, &counting, STATS_BIT);
	file = class_rig_save(rig);
	rig_change(&file, balloon_class.state, 0, "has_stats_buffer", true);
	assert_int_equal(class_rig_load(rig, &balloon_class, &counting, &file, &diag), -EBADMSG);
	assert_string_equal(diag.text, bad);
	rig_change(&file, &virtq_state, STATS, "next_avail", 1);
	assert_int_equal(class_rig_load(rig, &balloon_class, &counting, &file, &diag), 0);
	rig_change(&file, balloon_class.state, 0, "stats_head", 64);
	assert_int_equal(class_rig_load(rig, &balloon_class, &counting, &file, &diag), -EBADMSG);
	rig_change(&file, balloon_class.state, 0, "stats_head", 63);
	rig_change(&file, &virtq_state, STATS, "enabled", false);
	assert_int_equal(class_rig_load(rig, &balloon_class, &counting, &file, &diag), -EBADMSG);
	assert_string_equal(diag.text, bad);
	assert_int_equal(class_rig_load(rig, &balloon_class, &other, &file, &diag), -ENOTSUP);
	state_free(&file);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_pages_go_back),
		TEST(test_deflate_is_answered),
		TEST(test_too_many_pages),
		TEST(test_reports),
		TEST(test_poisoned_pages_stay),
		TEST(test_statistics),
		TEST(test_statistics_that_nobody_asked_for),
		TEST(test_hints),
		TEST(test_hints_that_are_kept),
		TEST(test_hints_that_are_late),
		TEST(test_hints_of_nobody),
		TEST(test_hints_and_a_reset),
		TEST(test_hints_and_a_pause),
		TEST(test_all_queues),
		TEST(test_statistics_in_a_copy),
		TEST(test_hints_in_a_copy),
		TEST(test_hostile_statistics),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
