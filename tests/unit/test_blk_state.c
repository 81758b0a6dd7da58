// SPDX-License-Identifier: MIT
/* test_blk_state.c - a virtio disk, saved and loaded: what was asked is answered once */

#include "blk_rig.h"
#include "state_rig.h"

#include <linux/virtio_blk.h>
#include <signal.h>
#include <sys/resource.h>

#define N_ASKED 24

static void open_other(struct rig *rig)
{
	struct diag diag;

	rig_close(rig);
	rig->dev = blk_class.open(&rig->options, &rig->env, &diag);
	if (!rig->dev)
		fail_msg("%s", diag.text);
	rig->dev->transport = &rig->transport;
}

/* Another in its place, over the same file and memory. */
static void move(struct rig *rig)
{
	struct state_writer file = rig_save(rig->dev);
	struct diag diag;

	open_other(rig);
	if (rig_load(&file, rig->dev, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(rig->dev);
	state_free(&file);
}

static struct request reading(unsigned int slot)
{
	return (struct request){
		.slot = slot, .type = VIRTIO_BLK_T_IN, .sector = slot * 3, .in_size = SECTOR
	};
}

static void ask_all(struct rig *rig, unsigned int from, unsigned int to)
{
	for (unsigned int slot = from; slot < to; slot++) {
		struct request r = reading(slot);

		rig_offer_request(rig, &r);
	}
}

static void check_answer(struct rig *rig, unsigned int slot)
{
	struct request r = reading(slot);
	const uint8_t *data = rig_answer(rig, &r);

	assert_int_equal(rig_status(rig, &r), VIRTIO_BLK_S_OK);
	for (unsigned int i = 0; i < SECTOR; i++)
		assert_int_equal(data[i], rig_byte(slot * 3 * SECTOR + i));
}

/* Some are done, some under way, some waiting: each is answered, and none twice. */
static void test_amid_requests(void **state)
{
	struct rig *rig = *state;
	bool seen[N_ASKED] = { false };

	rig_open(rig, RIG_USUAL);
	for (unsigned int round = 0; round < 3; round++) {
		ask_all(rig, round * 8, round * 8 + 4);
		rig_kick(rig, 0, 1);
		ask_all(rig, round * 8 + 4, round * 8 + 8);
		move(rig);
	}
	rig_kick(rig, 0, N_ASKED);
	assert_int_equal(rig_n_used(&rig->ring[0]), N_ASKED);
	for (unsigned int i = 0; i < N_ASKED; i++) {
		struct vring_used_elem used = rig_take(&rig->ring[0]);

		/* Three descriptors each. */
		assert_true(used.id % 3 == 0 && used.id / 3 < N_ASKED && !seen[used.id / 3]);
		seen[used.id / 3] = true;
		check_answer(rig, used.id / 3);
	}
	assert_false(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_written_and_flushed(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SECTOR];

	rig_open(rig, RIG_USUAL);
	for (uint64_t i = 0; i < 4; i++) {
		memset(data, (int)i + 1, SECTOR);
		rig_offer_request(rig, &(struct request){ .slot = (unsigned int)i,
					       .type = VIRTIO_BLK_T_OUT,
					       .sector = i,
					       .out = data,
					       .out_size = SECTOR });
		rig_kick(rig, 0, 0);
		move(rig);
	}
	rig_kick(rig, 0, 4);
	for (uint64_t i = 0; i < 4; i++) {
		assert_int_equal(rig_take(&rig->ring[0]).len, 1);
		rig_check_bytes(rig, i, (int)i + 1);
	}
	rig_check_image(rig, 4, N_SECTORS);
	assert_int_equal(
		rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_FLUSH }), VIRTIO_BLK_S_OK);
}

/* A driver that has its writes be on the disk at once finds it so. */
static void test_write_through(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_write_config(rig->dev, 32, 1, 0);
	move(rig);
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 0);
	virtio_write_config(rig->dev, 32, 1, 1);
	move(rig);
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 1);
}

static void test_two_queues(void **state)
{
	struct rig *rig = *state;

	rig->options.n_queues = 2;
	rig_open(rig, RIG_USUAL);
	for (unsigned int q = 0; q < 2; q++) {
		struct request r = reading(q);

		r.queue = q;
		rig_offer_request(rig, &r);
	}
	move(rig);
	for (unsigned int q = 0; q < 2; q++) {
		rig_kick(rig, q, 1);
		rig_take(&rig->ring[q]);
		check_answer(rig, q);
	}
}

/* ---- refused ---- */

static void expect_refusal(
	struct rig *rig, const struct state_writer *file, int ret, const char *why)
{
	struct diag diag;

	open_other(rig);
	assert_int_equal(rig_load(file, rig->dev, &diag), ret);
	assert_string_equal(diag.text, why);
}

static void test_another_disk(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;

	rig_open(rig, RIG_USUAL);
	file = rig_save(rig->dev);
	assert_int_equal(ftruncate(rig->fd, (N_SECTORS - 8) * SECTOR), 0);
	expect_refusal(rig, &file, -EINVAL,
		"disk in slot 0: what is behind it has 2040 sectors, and had 2048: it is another "
		"disk");
	assert_int_equal(ftruncate(rig->fd, N_SECTORS * SECTOR), 0);
	rig->options.read_only = true;
	expect_refusal(rig, &file, -EINVAL,
		"disk in slot 0: it was to be written to, and is not any more");
	rig->options.read_only = false;
	rig->options.n_queues = 2;
	expect_refusal(rig, &file, -EINVAL, "disk in slot 0: it has 2 queues, and had 1");
	state_free(&file);
}

static void test_read_only_disk(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;

	rig->options.read_only = true;
	rig_open(rig, RIG_USUAL);
	file = rig_save(rig->dev);
	rig->options.read_only = false;
	expect_refusal(
		rig, &file, -EINVAL, "disk in slot 0: it was read-only, and is not any more");
	state_free(&file);
}

/* What was written would not be there; what was only read is. */
static void test_overlay_that_vanishes(void **state)
{
	static const uint32_t types[] = { VIRTIO_BLK_T_OUT, VIRTIO_BLK_T_DISCARD,
		VIRTIO_BLK_T_WRITE_ZEROES };
	static const struct virtio_blk_discard_write_zeroes range = { 0, 8, 0 };
	const uint64_t features = RIG_USUAL | VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
	                          VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	struct rig *rig = *state;

	rig->options.overlay = DISK_OVERLAY_GONE;
	rig_open(rig, features);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint8_t data[SECTOR] = { 0 };
		struct request r = { .type = types[i], .out = data, .out_size = SECTOR };

		assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_IN,
						      .in_size = SECTOR }),
			VIRTIO_BLK_S_OK);
		rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_FLUSH });
		assert_null(virtio_why_not_saved(rig->dev));
		if (types[i] != VIRTIO_BLK_T_OUT)
			r.out = &range, r.out_size = sizeof(range);
		assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
		assert_string_equal(virtio_why_not_saved(rig->dev),
			"its overlay, which was written to, is gone with this process: give "
			"overlay=FILE");
		open_other(rig);
		rig_drive(rig, features);
	}
	rig->options.overlay = DISK_OVERLAY_NONE;
	open_other(rig);
	rig_drive(rig, RIG_USUAL);
	assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_DISCARD,
					      .out = &range,
					      .out_size = sizeof(range) }),
		VIRTIO_BLK_S_OK);
	assert_null(virtio_why_not_saved(rig->dev));
}

/* Whatever its size is said to be, no request goes beyond the file. */
static void test_hostile_size(void **state)
{
	struct rig *rig = *state;
	struct state_writer file;

	rig_open(rig, RIG_USUAL);
	file = rig_save(rig->dev);
	rig_change(&file, blk_class.state, 0, "config.capacity", UINT64_MAX);
	expect_refusal(rig, &file, -EINVAL,
		"disk in slot 0: what is behind it has 2048 sectors, and had "
		"18446744073709551615: it is another disk");
	state_free(&file);
}

/* Those that the guest knows, on a file that could have smaller ones; and never smaller than those
 * of the file.
 */
static void test_blocks(void **state)
{
	static const struct {
		uint32_t saved;
		const char *why;
	} refused[] = {
		{ 256, "disk in slot 0: what is behind it has blocks of 512 bytes, and had such of 256: it is another disk" },
		{ 1000, "disk in slot 0: what is behind it has blocks of 512 bytes, and had such of 1000: it is another disk" },
		{ 0, "disk in slot 0: what is behind it has blocks of 512 bytes, and had such of 0: it is another disk" },
		{ 1u << 31,
			"disk in slot 0: what is behind it has 0 sectors, and had 2048: it is another disk" },
	};
	struct rig *rig = *state;
	struct state_writer file;
	struct request r = reading(0);
	struct diag diag;

	rig_open(rig, RIG_USUAL);
	file = rig_save(rig->dev);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		rig_change(&file, blk_class.state, 0, "config.blk_size", refused[i].saved);
		expect_refusal(rig, &file, -EINVAL, refused[i].why);
	}
	rig_change(&file, blk_class.state, 0, "config.blk_size", 4096);
	open_other(rig);
	assert_int_equal(rig_load(&file, rig->dev, &diag), 0);
	virtio_resume(rig->dev);
	state_free(&file);
	assert_int_equal(virtio_read_config(rig->dev, 20, 4), 4096);
	assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_IOERR);
	r.in_size = 4096;
	assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
}

/* ---- an overlay that is kept ---- */

static uint8_t first_bits(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint8_t bits = 0xee;

	assert_int_equal(file_read_at(fd, &bits, 1, 4096), 0);
	close(fd);
	return bits;
}

/* Not flushed, and there all the same for who goes on; or the machine is not saved. */
static void test_overlay_that_is_kept(void **state)
{
	static const struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY },
				   small = { 4096, RLIM_INFINITY };
	struct rig *rig = *state;
	struct state_writer file = rig_file();
	struct request r = { .type = VIRTIO_BLK_T_OUT, .out_size = SECTOR };
	uint8_t data[SECTOR] = { 0 };
	char path[sizeof(rig->path) + 8];
	struct diag diag;

	snprintf(path, sizeof(path), "%s.kept", rig->path);
	rig->options.overlay = DISK_OVERLAY_KEPT;
	rig->options.overlay_path = path;
	r.out = data;
	rig_open(rig, RIG_USUAL);
	for (r.sector = 0; r.sector < 2; r.sector++) {
		assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
		assert_int_equal(first_bits(path), r.sector);
		move(rig);
		assert_int_equal(first_bits(path), r.sector * 2 + 1);
	}
	assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
	virtio_quiesce(rig->dev);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(virtio_save(rig->dev, &file, 0, &diag), -EFBIG);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
	assert_string_equal(diag.text, "its overlay cannot be written: File too large");
	assert_int_equal(first_bits(path), 3);
	state_free(&file);
	unlink(path);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		WITH_BOTH(test_amid_requests),
		WITH_BOTH(test_written_and_flushed),
		WITH_SYNC(test_write_through),
		WITH_BOTH(test_two_queues),
		WITH_SYNC(test_another_disk),
		WITH_SYNC(test_read_only_disk),
		WITH_SYNC(test_overlay_that_vanishes),
		WITH_SYNC(test_hostile_size),
		WITH_SYNC(test_blocks),
		WITH_BOTH(test_overlay_that_is_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
