// SPDX-License-Identifier: MIT
/* test_balloon.c - pages that a guest gives, and what it says of its memory */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "class_rig.h"
#include "dev/balloon.h"

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
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
