// SPDX-License-Identifier: MIT
/* test_blk_exchange.c - virtio-blk with another file behind it, while its driver goes on */

#include "blk_rig.h"

#define OK    VIRTIO_BLK_S_OK
#define IOERR VIRTIO_BLK_S_IOERR

#define N_OTHER 96u /* sectors of the other file */
#define FILL    0x77

struct other {
	char path[40];
	int fd;
};

static struct other make_other(unsigned int n_sectors)
{
	struct other other = { .path = "/var/tmp/pronto-test-XXXXXX" };
	uint8_t data[SECTOR];

	other.fd = mkostemp(other.path, O_CLOEXEC);
	assert_true(other.fd >= 0);
	memset(data, FILL, SECTOR);
	for (unsigned int i = 0; i < n_sectors; i++)
		assert_int_equal(file_write_at(other.fd, data, SECTOR, i * SECTOR), 0);
	return other;
}

static void give_other(const struct other *other)
{
	close(other->fd);
	unlink(other->path);
}

static int update(struct rig *rig, const char *path, bool anew)
{
	const struct virtio_anew look = { .fd = -1 };
	struct blk_options options = rig->options;
	struct diag diag;
	char *copy = strdup(path);
	int ret;

	options.path = copy;
	ret = blk_class.update(rig->dev, &options, anew ? &look : NULL, &diag);
	free(copy); /* nobody keeps it */
	return ret;
}

static uint64_t capacity(const struct rig *rig)
{
	return virtio_read_config(rig->dev, offsetof(struct virtio_blk_config, capacity), 8);
}

static uint8_t wce(const struct rig *rig)
{
	return (uint8_t)virtio_read_config(rig->dev, offsetof(struct virtio_blk_config, wce), 1);
}

static uint8_t read_sector(struct rig *rig, uint64_t sector, uint8_t *first)
{
	const struct request r = { .type = VIRTIO_BLK_T_IN, .sector = sector, .in_size = SECTOR };
	uint8_t status = rig_ask(rig, &r);

	*first = rig_answer(rig, &r)[0];
	return status;
}

static void must_read(struct rig *rig, uint64_t sector, uint8_t byte)
{
	uint8_t first;

	assert_int_equal(read_sector(rig, sector, &first), OK);
	assert_int_equal(first, byte);
}

static uint8_t write_sector(struct rig *rig, uint64_t sector, int byte)
{
	uint8_t data[SECTOR];

	memset(data, byte, SECTOR);
	return rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_OUT,
				    .sector = sector,
				    .out = data,
				    .out_size = SECTOR });
}

/* The driver is told, finds another size, and what it reads and writes is the other file's. */
static void test_another_file(void **state)
{
	struct rig *rig = *state;
	const struct other other = make_other(N_OTHER);
	uint8_t first, seen[SECTOR];

	rig_open(rig, RIG_USUAL | VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE));
	virtio_write_config(rig->dev, offsetof(struct virtio_blk_config, wce), 1, 0);
	assert_int_equal(update(rig, other.path, true), 0);
	assert_int_equal(rig->n_config_signals, 1);
	assert_int_equal(rig->dev->config_generation, 1);
	assert_int_equal(capacity(rig), N_OTHER);
	assert_int_equal(wce(rig), 0);
	must_read(rig, N_OTHER - 1, FILL);
	assert_int_equal(read_sector(rig, N_OTHER, &first), IOERR);
	assert_int_equal(write_sector(rig, 0, 0x12), OK);
	assert_int_equal(file_read_at(other.fd, seen, SECTOR, 0), 0);
	assert_int_equal(seen[0], 0x12);
	rig_check_image(rig, 0, N_SECTORS);
	assert_int_equal(update(rig, rig->path, true), 0);
	assert_int_equal(rig->n_config_signals, 2);
	assert_int_equal(capacity(rig), N_SECTORS);
	must_read(rig, 0, rig_byte(0));
	assert_int_equal(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
	give_other(&other);
}

/* What was asked for before is done, and with the file that it was asked of. */
static void test_in_flight(void **state)
{
	struct rig *rig = *state;
	const struct other other = make_other(N_OTHER);
	uint8_t data[SECTOR];

	rig_open(rig, RIG_USUAL);
	memset(data, 0x12, SECTOR);
	for (unsigned int i = 0; i < N_SLOTS; i++)
		rig_offer_request(rig, &(struct request){ .slot = i,
					       .type = VIRTIO_BLK_T_OUT,
					       .sector = i,
					       .out = data,
					       .out_size = SECTOR });
	virtio_serve(rig->dev, virtio_queue(rig->dev, 0));
	assert_int_equal(update(rig, other.path, true), 0);
	assert_int_equal(rig_n_used(&rig->ring[0]), N_SLOTS);
	for (unsigned int i = 0; i < N_SLOTS; i++) {
		rig_take(&rig->ring[0]);
		rig_check_bytes(rig, i, 0x12);
	}
	must_read(rig, 0, FILL);
	give_other(&other);
}

static void test_refused(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	rig->options.ops = rate_per_second(1);
	assert_true(update(rig, "/nowhere", true) < 0);
	assert_int_equal(rig->n_config_signals, 0);
	assert_int_equal(capacity(rig), N_SECTORS);
	must_read(rig, 0, rig_byte(0));
	/* Nor is the rate another: by it one would wait for the other. */
	for (unsigned int i = 0; i < 3; i++)
		rig_offer_request(
			rig, &(struct request){ .slot = i, .sector = i, .in_size = SECTOR });
	virtio_serve(rig->dev, virtio_queue(rig->dev, 0));
	assert_int_equal(rig_n_used(&rig->ring[0]), 3);
}

/* Who speaks of the rate alone has nothing looked at, whatever has become of the path. */
static void test_rate_alone(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	rig->options.ops = rate_per_second(1000000);
	assert_int_equal(ftruncate(rig->fd, SECTOR), 0);
	assert_int_equal(update(rig, "/nowhere", false), 0);
	assert_int_equal(rig->n_config_signals, 0);
	assert_int_equal(capacity(rig), N_SECTORS);
	must_read(rig, 0, rig_byte(0));
}

static void test_read_only(void **state)
{
	struct rig *rig = *state;
	const struct other other = make_other(N_OTHER);
	uint8_t seen[SECTOR];

	rig->options.read_only = true;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(update(rig, other.path, true), 0);
	must_read(rig, 0, FILL);
	assert_int_equal(write_sector(rig, 0, 0x12), IOERR);
	assert_int_equal(file_read_at(other.fd, seen, SECTOR, 0), 0);
	assert_int_equal(seen[0], FILL);
	give_other(&other);
}

/* While the machine is paused: the driver hears of it when it goes on. */
static void test_paused(void **state)
{
	struct rig *rig = *state;
	const struct other other = make_other(N_OTHER);

	rig_open(rig, RIG_USUAL);
	virtio_quiesce(rig->dev);
	assert_int_equal(update(rig, other.path, true), 0);
	assert_int_equal(rig->n_config_signals, 0);
	virtio_resume(rig->dev);
	assert_int_equal(rig->n_config_signals, 1);
	must_read(rig, 0, FILL);
	give_other(&other);
}

/* A place for a disk that comes later. */
static void test_empty(void **state)
{
	struct rig *rig = *state;
	const struct other other = make_other(0);
	char *first = rig->options.path;
	uint8_t byte;

	rig->options.path = (char *)other.path;
	rig->options.may_be_empty = true;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(capacity(rig), 0);
	assert_int_equal(read_sector(rig, 0, &byte), IOERR);
	assert_int_equal(write_sector(rig, 0, 1), IOERR);
	assert_int_equal(update(rig, first, true), 0);
	assert_int_equal(capacity(rig), N_SECTORS);
	must_read(rig, 0, rig_byte(0));
	assert_int_equal(update(rig, other.path, true), 0);
	assert_int_equal(capacity(rig), 0);
	give_other(&other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_BOTH(test_another_file),
		WITH_BOTH(test_in_flight),
		WITH_SYNC(test_refused),
		WITH_SYNC(test_rate_alone),
		WITH_SYNC(test_read_only),
		WITH_BOTH(test_paused),
		WITH_SYNC(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
