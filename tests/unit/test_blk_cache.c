// SPDX-License-Identifier: MIT
/* test_blk_cache.c - when a request is carried out, and when what it wrote is durable */

#include "blk_rig.h"
#include "util/timeline.h"

#include <sys/syscall.h>

#define WCE   VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE)
#define FLUSH VIRTIO_BIT(VIRTIO_BLK_F_FLUSH)
#define BASE  VIRTIO_BIT(VIRTIO_F_VERSION_1)

/* ---- the host's calls ---- */

static struct {
	unsigned int n_writes, n_durable, n_syncs;
	unsigned int n_written_before_sync; /* n_writes at the last */
} host;

ssize_t pwritev2(int fd, const struct iovec *iov, int n, off_t offset, int flags)
{
	host.n_writes++;
	host.n_durable += flags == RWF_DSYNC;
	return syscall(SYS_pwritev2, fd, iov, n, offset, 0, flags);
}

int fdatasync(int fd)
{
	host.n_syncs++;
	host.n_written_before_sync = host.n_writes;
	return (int)syscall(SYS_fdatasync, fd);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
	host.n_writes++;
	return (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

/* ---- */

static void must_write(struct rig *rig)
{
	static const uint8_t data[SECTOR];
	struct request r = { .type = VIRTIO_BLK_T_OUT, .out = data, .out_size = SECTOR };

	memset(&host, 0, sizeof(host));
	assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
	assert_int_equal(host.n_writes, 1);
}

static void must_zero(struct rig *rig, unsigned int n)
{
	static const struct virtio_blk_discard_write_zeroes ranges[4] = { { 0, 1, 0 }, { 8, 1, 0 },
		{ 16, 1, 0 }, { 24, 1, 0 } };
	struct request r = { .type = VIRTIO_BLK_T_WRITE_ZEROES,
		.out = ranges,
		.out_size = n * (uint32_t)sizeof(ranges[0]) };

	memset(&host, 0, sizeof(host));
	assert_int_equal(rig_ask(rig, &r), VIRTIO_BLK_S_OK);
	assert_int_equal(host.n_writes, n);
}

static void must_be_lazy(struct rig *rig)
{
	must_write(rig);
	assert_int_equal(host.n_durable + host.n_syncs, 0);
	must_zero(rig, 4);
	assert_int_equal(host.n_durable + host.n_syncs, 0);
}

static void must_be_durable(struct rig *rig)
{
	must_write(rig);
	assert_int_equal(host.n_durable + host.n_syncs, 1);
	must_zero(rig, 4);
	assert_int_equal(host.n_syncs, 1);
	assert_int_equal(host.n_written_before_sync, 4);
	/* And so each time. */
	must_write(rig);
	assert_int_equal(host.n_durable + host.n_syncs, 1);
}

static void write_cache(struct rig *rig, uint64_t value)
{
	virtio_write_config(rig->dev, 32, 1, value);
}

/* Who can flush does; who cannot has no other way than this. */
static void test_flush_decides(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, BASE | FLUSH);
	must_be_lazy(rig);
	rig_drive(rig, BASE);
	must_be_durable(rig);
	rig_drive(rig, BASE | FLUSH);
	must_be_lazy(rig);
}

static void test_driver_decides(void **state)
{
	struct rig *rig = *state;

	for (unsigned int flush = 0; flush < 2; flush++) {
		if (!rig->dev)
			rig_open(rig, BASE | WCE | flush * FLUSH);
		else
			rig_drive(rig, BASE | WCE | flush * FLUSH);
		assert_int_equal(virtio_read_config(rig->dev, 32, 1), 1);
		must_be_lazy(rig);
		write_cache(rig, 0);
		assert_int_equal(virtio_read_config(rig->dev, 32, 1), 0);
		must_be_durable(rig);
		write_cache(rig, 1);
		must_be_lazy(rig);
		write_cache(rig, 0xfe); /* one bit */
		assert_int_equal(virtio_read_config(rig->dev, 32, 1), 0);
		must_be_durable(rig);
		/* The next driver finds it as the first did. */
	}
}

/* Before DRIVER_OK, too, and without having agreed upon it not at all. */
static void test_when_it_may_be_written(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, BASE | FLUSH);
	write_cache(rig, 0);
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 1);
	must_be_lazy(rig);

	virtio_set_status(rig->dev, 0);
	write_cache(rig, 0);
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 1);
	virtio_set_features_word(rig->dev, 0, (uint32_t)(WCE | FLUSH));
	virtio_set_features_word(rig->dev, 1, BASE >> 32);
	virtio_set_status(rig->dev,
		VIRTIO_CONFIG_S_ACKNOWLEDGE | VIRTIO_CONFIG_S_DRIVER | VIRTIO_CONFIG_S_FEATURES_OK);
	write_cache(rig, 0);
	rig_place_ring(rig, 0);
	virtio_set_status(rig->dev, rig->dev->status | VIRTIO_CONFIG_S_DRIVER_OK);
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 0);
	must_be_durable(rig);
}

/* Nothing else of the configuration is the guest's. */
static void test_other_config(void **state)
{
	struct rig *rig = *state;
	uint8_t before[60];

	rig_open(rig, BASE | FLUSH | WCE);
	memcpy(before, rig->dev->config, sizeof(before));
	for (uint64_t offset = 0; offset < 80; offset++)
		for (unsigned int size = 1; size <= 8; size *= 2)
			if (offset != 32 || size != 1)
				virtio_write_config(rig->dev, offset, size, 0);
	assert_memory_equal(rig->dev->config, before, sizeof(before));
	must_be_lazy(rig);
}

/* What is kept beside the image: the sectors, then the bits. */
static void test_overlay(void **state)
{
	static char kept[64];
	struct rig *rig = *state;

	snprintf(kept, sizeof(kept), "%s.kept", rig->path);
	rig->options.overlay = DISK_OVERLAY_KEPT;
	rig->options.overlay_path = kept;
	rig_open(rig, BASE);
	must_write(rig);
	assert_int_equal(host.n_syncs, 2);
	must_write(rig);
	assert_int_equal(host.n_syncs, 1);
	must_zero(rig, 4);
	assert_int_equal(host.n_written_before_sync, 4);
	rig_drive(rig, BASE | FLUSH);
	must_be_lazy(rig);
	rig_close(rig);
	unlink(kept);
}

/* What has to wait does, on all queues; nothing is lost, and no more comes than the limit allows: a
 * tenth of a second's worth at once, then as time goes by.
 */
static void test_rate(void **state)
{
	struct rig *rig = *state;
	uint64_t since = timeline_now();
	unsigned int n = 12;

	rig->options.ops = rate_per_second(20);
	rig_open(rig, RIG_USUAL);
	for (unsigned int i = 0; i < n; i++)
		rig_offer_request(rig, &(struct request){ .sector = i, .in_size = SECTOR });
	rig_kick(rig, 0, (uint16_t)n);
	assert_int_equal(rig_n_used(&rig->ring[0]), n);
	assert_true(timeline_now() - since >= (n - 3) * 50000000ull);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SYNC(test_rate),
		WITH_SYNC(test_flush_decides),
		WITH_SYNC(test_driver_decides),
		WITH_SYNC(test_when_it_may_be_written),
		WITH_SYNC(test_other_config),
		WITH_SYNC(test_overlay),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
