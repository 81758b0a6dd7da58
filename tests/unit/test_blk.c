// SPDX-License-Identifier: MIT
/* test_blk.c - virtio-blk: what a driver asks for, and what a hostile one does */

#include "blk_rig.h"
#include "insisting_host.h"

#include <linux/virtio_blk.h>

#define OK     VIRTIO_BLK_S_OK
#define IOERR  VIRTIO_BLK_S_IOERR
#define UNSUPP VIRTIO_BLK_S_UNSUPP

/* What a status is when the device has not written one. */
#define NONE 0xee

static struct virtio_blk_discard_write_zeroes range_of(uint64_t sector, uint32_t n, uint32_t flags)
{
	return (struct virtio_blk_discard_write_zeroes){ sector, n, flags };
}

static uint8_t clear(struct rig *rig, uint32_t type,
	const struct virtio_blk_discard_write_zeroes *ranges, unsigned int n)
{
	return rig_ask(rig,
		&(struct request){
			.type = type, .out = ranges, .out_size = n * (uint32_t)sizeof(*ranges) });
}

static uint8_t clear_one(
	struct rig *rig, uint32_t type, uint64_t sector, uint32_t n, uint32_t flags)
{
	struct virtio_blk_discard_write_zeroes range = range_of(sector, n, flags);

	return clear(rig, type, &range, 1);
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

static uint8_t read_sector(struct rig *rig, uint64_t sector)
{
	return rig_ask(rig,
		&(struct request){ .type = VIRTIO_BLK_T_IN, .sector = sector, .in_size = SECTOR });
}

/* ---- what it says of itself ---- */

static void test_config(void **state)
{
	struct rig *rig = *state;
	const struct virtio_blk_config *config;

	rig->options.n_queues = 2;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(rig->dev->class->id, VIRTIO_ID_BLOCK);
	assert_int_equal(rig->dev->config_size, 60);
	assert_true(virtio_read_config(rig->dev, 0, 8) == N_SECTORS);
	assert_int_equal(virtio_read_config(rig->dev, 12, 4), 254); /* seg_max */
	assert_int_equal(virtio_read_config(rig->dev, 20, 4), 512);
	assert_int_equal(virtio_read_config(rig->dev, 24, 1), 3); /* 4096 bytes are one block */
	assert_int_equal(virtio_read_config(rig->dev, 32, 1), 1); /* writeback */
	assert_int_equal(virtio_read_config(rig->dev, 34, 2), 2); /* queues */
	config = rig->dev->config;
	assert_int_equal(config->max_discard_seg, 64);
	assert_int_equal(config->max_write_zeroes_seg, 64);
	assert_int_equal(config->discard_sector_alignment, 8);
	assert_true(config->max_discard_sectors >= N_SECTORS);
}

static void test_features(void **state)
{
	const uint64_t always = VIRTIO_BIT(VIRTIO_BLK_F_SEG_MAX) |
	                        VIRTIO_BIT(VIRTIO_BLK_F_BLK_SIZE) |
	                        VIRTIO_BIT(VIRTIO_BLK_F_TOPOLOGY) | VIRTIO_BIT(VIRTIO_BLK_F_FLUSH);
	const uint64_t written = VIRTIO_BIT(VIRTIO_BLK_F_CONFIG_WCE) |
	                         VIRTIO_BIT(VIRTIO_BLK_F_DISCARD) |
	                         VIRTIO_BIT(VIRTIO_BLK_F_WRITE_ZEROES);
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	assert_int_equal(rig->dev->offered & 0xffffff, always | written);
	rig_close(rig);
	rig->options.n_queues = 2;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(
		rig->dev->offered & 0xffffff, always | written | VIRTIO_BIT(VIRTIO_BLK_F_MQ));
	rig_close(rig);
	rig->options.read_only = true;
	rig->options.n_queues = 1;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(rig->dev->offered & 0xffffff, always | VIRTIO_BIT(VIRTIO_BLK_F_RO));
}

/* ---- requests ---- */

static void test_read_and_write(void **state)
{
	struct request r = { .type = VIRTIO_BLK_T_IN, .sector = 7, .in_size = 3 * SECTOR };
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	assert_int_equal(rig_ask(rig, &r), OK);
	for (unsigned int i = 0; i < r.in_size; i++)
		assert_int_equal(rig_answer(rig, &r)[i], rig_byte(7 * SECTOR + i));
	assert_int_equal(write_sector(rig, 3, 0x77), OK);
	rig_check_bytes(rig, 3, 0x77);
	assert_int_equal(write_sector(rig, N_SECTORS - 1, 0x78), OK);
	rig_check_bytes(rig, N_SECTORS - 1, 0x78);
	rig_check_image(rig, 0, 3);
	rig_check_image(rig, 4, N_SECTORS - 1);
	assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_FLUSH }), OK);
	/* Of no bytes. */
	assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_IN }), OK);
	assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_OUT }), OK);
	rig_check_image(rig, 0, 3);
}

/* Header, data and status lie in descriptors as the driver likes. */
static void test_split_anywhere(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SECTOR];

	rig_open(rig, RIG_USUAL);
	for (uint32_t cut = 5; cut < SECTOR + 32; cut += cut < 40 ? 1 : 7) {
		struct request out = { .type = VIRTIO_BLK_T_OUT,
			.sector = 9,
			.out = data,
			.out_size = SECTOR,
			.cut = cut };
		struct request in = {
			.type = VIRTIO_BLK_T_IN, .sector = 9, .in_size = SECTOR, .cut = cut
		};

		for (unsigned int i = 0; i < SECTOR; i++)
			data[i] = (uint8_t)(i * cut);
		assert_int_equal(rig_ask(rig, &out), OK);
		assert_int_equal(rig_ask(rig, &in), OK);
		assert_memory_equal(rig_answer(rig, &in), data, SECTOR);
	}
	rig_check_image(rig, 0, 9);
	rig_check_image(rig, 10, N_SECTORS);
}

/* 5.2.6: twenty bytes, with zeros behind a short one; as many as there is room for. */
static void test_get_id(void **state)
{
	static char serial[] = "disk-7";
	static char longest[] = "12345678901234567890";
	struct rig *rig = *state;

	rig->options.serial = serial;
	rig_open(rig, RIG_USUAL);
	for (uint32_t cut = 0; cut < 24; cut++)
		for (uint32_t size = 0; size < 24; size += 4) {
			struct request r = {
				.type = VIRTIO_BLK_T_GET_ID, .in_size = size, .cut = cut
			};
			uint8_t want[24] = "disk-7";

			memset(want + 20, 0xee, 4);
			assert_int_equal(rig_ask(rig, &r), OK);
			assert_memory_equal(rig_answer(rig, &r), want, size);
		}
	rig_close(rig);
	rig->options.serial = longest;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(
		rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_GET_ID, .in_size = 20 }), OK);
	assert_memory_equal(rig_answer(rig, &(struct request){ .in_size = 20 }), longest, 20);
}

/* ---- what cannot be ---- */

static void test_bad_places(void **state)
{
	static const struct {
		uint64_t sector;
		uint32_t n;
	} bad[] = { { N_SECTORS, 1 }, { N_SECTORS - 1, 2 }, { N_SECTORS + 1, 1 }, { UINT64_MAX, 1 },
		{ UINT64_MAX - 1, 2 }, { UINT64_MAX / 512, 1 }, { UINT64_MAX / 512 + 1, 1 },
		{ UINT64_MAX / 512 + 2, 1 }, { UINT64_C(1) << 32, 1 }, { UINT64_C(1) << 55, 3 },
		{ UINT64_C(1) << 63, 1 } };
	struct rig *rig = *state;
	static const uint8_t data[3 * SECTOR];

	rig_open(rig, RIG_USUAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct request in = { .type = VIRTIO_BLK_T_IN,
			.sector = bad[i].sector,
			.in_size = bad[i].n * SECTOR };
		struct request out = { .type = VIRTIO_BLK_T_OUT,
			.sector = bad[i].sector,
			.out = data,
			.out_size = bad[i].n * SECTOR };

		assert_int_equal(rig_ask(rig, &in), IOERR);
		assert_int_equal(rig_answer(rig, &in)[0], NONE);
		assert_int_equal(rig_ask(rig, &out), IOERR);
		assert_int_equal(
			clear_one(rig, VIRTIO_BLK_T_DISCARD, bad[i].sector, bad[i].n, 0), IOERR);
		assert_int_equal(
			clear_one(rig, VIRTIO_BLK_T_WRITE_ZEROES, bad[i].sector, bad[i].n, 1),
			IOERR);
	}
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, 1, UINT32_MAX, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, UINT64_MAX, UINT32_MAX, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_WRITE_ZEROES, 1, N_SECTORS, 0), IOERR);
	rig_check_image(rig, 0, N_SECTORS);
	/* At the end there is a place for nothing. */
	assert_int_equal(rig_ask(rig, &(struct request){ .sector = N_SECTORS }), OK);
	assert_int_equal(rig_ask(rig, &(struct request){ .sector = N_SECTORS + 1 }), IOERR);
}

static void test_bad_sizes(void **state)
{
	static const uint32_t sizes[] = { 1, 511, 513, 1000, 1025 };
	static const uint8_t data[2 * SECTOR];
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct request in = { .type = VIRTIO_BLK_T_IN, .in_size = sizes[i] };
		struct request out = {
			.type = VIRTIO_BLK_T_OUT, .out = data, .out_size = sizes[i]
		};

		assert_int_equal(rig_ask(rig, &in), IOERR);
		assert_int_equal(rig_answer(rig, &in)[0], NONE);
		if (sizes[i] <= sizeof(data))
			assert_int_equal(rig_ask(rig, &out), IOERR);
	}
	rig_check_image(rig, 0, N_SECTORS);
	assert_int_equal(read_sector(rig, 0), OK);
}

/* The host's blocks are larger than a sector: so are the guest's. */
static void test_large_blocks(void **state)
{
	struct request in = { .type = VIRTIO_BLK_T_IN, .sector = 8, .in_size = 4096 };
	struct rig *rig = *state;

	rig->options.direct = true;
	insists = true;
	rig_open(rig, RIG_USUAL);
	insists = false;
	assert_int_equal(virtio_read_config(rig->dev, 20, 4), 4096);
	assert_int_equal(virtio_read_config(rig->dev, 24, 1), 0);
	assert_int_equal(rig_ask(rig, &in), OK);
	assert_int_equal(read_sector(rig, 8), IOERR);
	in.sector = 9;
	assert_int_equal(rig_ask(rig, &in), IOERR);
	assert_int_equal(write_sector(rig, 0, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, 0, 7, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_WRITE_ZEROES, 4, 8, 0), IOERR);
	rig_check_image(rig, 0, N_SECTORS);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_WRITE_ZEROES, 8, 16, 0), OK);
	rig_check_bytes(rig, 8, 0);
	rig_check_bytes(rig, 23, 0);
	rig_check_image(rig, 24, N_SECTORS);
}

/* A gigabyte, of a page that is named again and again, and four of them, which is too much. */
static void test_huge_request(void **state)
{
	struct rig *rig = *state;
	struct virtio_blk_outhdr header = { VIRTIO_BLK_T_IN, 0, 0 };
	struct rig_ring *ring = &rig->ring[0];

	rig_open(rig, RIG_USUAL);
	memcpy(rig_at(&rig->mem, OUT(0), HEADER), &header, HEADER);
	*rig_desc(ring, 0) = (struct vring_desc){ OUT(0), HEADER, VRING_DESC_F_NEXT, 1 };
	for (uint16_t i = 1; i < 255; i++)
		*rig_desc(ring, i) = (struct vring_desc){ RIG_HIGH, RIG_REGION,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, (uint16_t)(i + 1) };
	*rig_desc(ring, 255) = (struct vring_desc){ IN(9), 1, VRING_DESC_F_WRITE, 0 };
	rig_offer(ring, 0);
	rig_kick(rig, 0, 1);
	rig_take(ring);
	assert_int_equal(*(uint8_t *)rig_at(&rig->mem, IN(9), 1), IOERR);
	assert_int_equal(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

static void test_unknown_types(void **state)
{
	static const uint32_t types[] = { 2, 3, 5, 6, 7, 9, 10, 12, 14, 0x100, 0x80000000,
		0x80000001, UINT32_MAX };
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		assert_int_equal(
			rig_ask(rig, &(struct request){ .type = types[i], .in_size = SECTOR }),
			UNSUPP);
	rig_check_image(rig, 0, N_SECTORS);
}

static void test_read_only(void **state)
{
	struct rig *rig = *state;

	rig->options.read_only = true;
	rig_open(rig, RIG_USUAL);
	assert_int_equal(read_sector(rig, 1), OK);
	assert_int_equal(write_sector(rig, 1, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, 0, 1, 0), IOERR);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_WRITE_ZEROES, 0, 1, 0), IOERR);
	assert_int_equal(rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_FLUSH }), OK);
	rig_check_image(rig, 0, N_SECTORS);
}

/* The host's trouble is the guest's I/O error, and no more than that. */
static void test_host_error(void **state)
{
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	assert_int_equal(ftruncate(rig->fd, 10 * SECTOR), 0);
	assert_int_equal(read_sector(rig, 10), IOERR);
	assert_int_equal(read_sector(rig, 9), OK);
	assert_int_equal(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET, 0);
}

/* ---- discards and zeros ---- */

static void test_clear(void **state)
{
	struct virtio_blk_discard_write_zeroes ranges[65];
	struct rig *rig = *state;
	unsigned int n = ARRAY_SIZE(ranges);

	rig_open(rig, RIG_USUAL);
	for (unsigned int i = 0; i < n; i++)
		ranges[i] = range_of(16ull * i, 8, i % 2);
	assert_int_equal(clear(rig, VIRTIO_BLK_T_WRITE_ZEROES, ranges, n), IOERR);
	rig_check_image(rig, 0, N_SECTORS);
	assert_int_equal(clear(rig, VIRTIO_BLK_T_WRITE_ZEROES, ranges, n - 1), OK);
	for (unsigned int i = 0; i < n - 1; i++) {
		for (unsigned int j = 0; j < 8; j++)
			rig_check_bytes(rig, 16ull * i + j, 0);
		rig_check_image(rig, 16ull * i + 8, 16ull * i + 16);
	}
	rig_check_image(rig, 16ull * (n - 1), N_SECTORS);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, 0, N_SECTORS, 0), OK);
	assert_int_equal(clear_one(rig, VIRTIO_BLK_T_DISCARD, 5, 0, 0), OK);
}

/* All ranges are looked at before one is touched. */
static void test_bad_ranges(void **state)
{
	struct virtio_blk_discard_write_zeroes ranges[3] = { range_of(0, 8, 0), range_of(8, 8, 0) };
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	ranges[2] = range_of(N_SECTORS - 1, 2, 0);
	assert_int_equal(clear(rig, VIRTIO_BLK_T_DISCARD, ranges, 3), IOERR);
	assert_int_equal(clear(rig, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 3), IOERR);
	for (uint32_t bit = 0; bit < 32; bit++) {
		ranges[2] = range_of(0, 8, 1u << bit);
		assert_int_equal(clear(rig, VIRTIO_BLK_T_DISCARD, ranges, 3), UNSUPP);
		if (bit)
			assert_int_equal(clear(rig, VIRTIO_BLK_T_WRITE_ZEROES, ranges, 3), UNSUPP);
	}
	for (uint32_t size = 0; size < 40; size++)
		if (size % 16 || !size)
			assert_int_equal(
				rig_ask(rig, &(struct request){ .type = VIRTIO_BLK_T_DISCARD,
						     .out = ranges,
						     .out_size = size }),
				IOERR);
	rig_check_image(rig, 0, N_SECTORS);
}

/* ---- a driver that breaks the rules ---- */

/* The device rests, and is as good as new after a reset. */
static void must_fail(struct rig *rig)
{
	uint16_t before = rig_n_used(&rig->ring[0]);

	rig_kick(rig, 0, (uint16_t)(before + 1));
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	assert_int_equal(rig_n_used(&rig->ring[0]), before);
	assert_true(rig->n_config_signals > 0);
	rig->n_config_signals = 0;
	rig_drive(rig, RIG_USUAL);
	assert_int_equal(read_sector(rig, 3), OK);
}

static void test_no_request(void **state)
{
	static const struct {
		uint32_t out, in;
	} bad[] = { { 0, 0 }, { 16, 0 }, { 15, 1 }, { 0, 1 }, { 1, 512 }, { 15, 4096 },
		{ 600, 0 } };
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct rig_ring *ring = &rig->ring[0];

		memset(rig_desc(ring, 0), 0, 2 * sizeof(struct vring_desc));
		*rig_desc(ring, 100) =
			(struct vring_desc){ OUT(0), bad[i].out, VRING_DESC_F_NEXT, 101 };
		*rig_desc(ring, 101) =
			(struct vring_desc){ IN(0), bad[i].in, VRING_DESC_F_WRITE, 0 };
		rig_offer(ring, 100);
		must_fail(rig);
	}
}

/* The longest chain, and one that is longer. */
static void test_many_segments(void **state)
{
	struct vring_desc *table;
	struct rig *rig = *state;

	rig_open(rig, RIG_USUAL | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	table = rig_at(&rig->mem, 0x30000, 300 * sizeof(*table));
	for (unsigned int n = 254; n <= 300 - 2; n += 4) {
		struct virtio_blk_outhdr header = { VIRTIO_BLK_T_IN, 0, 0 };

		memcpy(rig_at(&rig->mem, OUT(0), HEADER), &header, HEADER);
		table[0] = (struct vring_desc){ OUT(0), HEADER, VRING_DESC_F_NEXT, 1 };
		for (unsigned int i = 0; i <= n; i++)
			table[i + 1] = (struct vring_desc){ IN(0) + SECTOR * i, i < n ? SECTOR : 1,
				VRING_DESC_F_WRITE | (i < n ? VRING_DESC_F_NEXT : 0),
				(uint16_t)(i + 2) };
		rig_offer_one(&rig->ring[0], 0, 0x30000, (n + 2) * (uint32_t)sizeof(*table),
			VRING_DESC_F_INDIRECT);
		if (n > 254) {
			must_fail(rig);
			rig_drive(rig, RIG_USUAL | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
			continue;
		}
		rig_kick(rig, 0, 1);
		assert_int_equal(rig_take(&rig->ring[0]).len, n * SECTOR + 1);
		assert_int_equal(*(uint8_t *)rig_at(&rig->mem, IN(0) + SECTOR * n, 1), OK);
	}
}

/* One request, published as often as the queue is long, is as many requests; once more is none. */
static void test_same_head(void **state)
{
	struct rig *rig = *state;
	uint8_t data[SECTOR];

	rig_open(rig, RIG_USUAL);
	memset(data, 0x31, SECTOR);
	rig_offer_request(rig,
		&(struct request){
			.type = VIRTIO_BLK_T_OUT, .sector = 4, .out = data, .out_size = SECTOR });
	for (unsigned int i = 1; i < 256; i++)
		rig_offer(&rig->ring[0], 0);
	rig_kick(rig, 0, 256);
	for (unsigned int i = 0; i < 256; i++)
		assert_int_equal(rig_take(&rig->ring[0]).id, 0);
	rig_check_bytes(rig, 4, 0x31);
	for (unsigned int i = 0; i < 257; i++)
		rig_offer(&rig->ring[0], 0);
	must_fail(rig);
}

/* Data, header and status in one place: whatever comes of it, no other memory is written. */
static void test_overlapping(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *ring = &rig->ring[0];

	rig_open(rig, RIG_USUAL);
	for (unsigned int off = 0; off < 16; off++) {
		struct virtio_blk_outhdr header = { VIRTIO_BLK_T_IN, 0, 3 };

		memcpy(rig_at(&rig->mem, OUT(1), HEADER), &header, HEADER);
		*rig_desc(ring, 0) = (struct vring_desc){ OUT(1), HEADER, VRING_DESC_F_NEXT, 1 };
		*rig_desc(ring, 1) = (struct vring_desc){ OUT(1) + off, SECTOR,
			VRING_DESC_F_NEXT | VRING_DESC_F_WRITE, 2 };
		*rig_desc(ring, 2) = (struct vring_desc){ OUT(1) + off, 1, VRING_DESC_F_WRITE, 0 };
		rig_offer(ring, 0);
		rig_kick(rig, 0, 1);
		assert_int_equal(rig_take(ring).len, SECTOR + 1);
		assert_int_equal(*(uint8_t *)rig_at(&rig->mem, OUT(1) + off, 1), OK);
	}
}

/* ---- serials ---- */

static void test_serials(void **state)
{
	static char a[] = "a", b[] = "b", other_a[] = "a";
	struct blk_options disks[] = { { .serial = a }, { 0 }, { .serial = b }, { 0 } };
	struct setting_list list = { .items = disks, .n = ARRAY_SIZE(disks) };
	struct diag diag;

	assert_int_equal(blk_check_serials(&list, &diag), 0);
	disks[3].serial = other_a;
	assert_int_equal(blk_check_serials(&list, &diag), -EINVAL);
	assert_string_equal(diag.text, "two disks have the serial 'a'; give each its own");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_SYNC(test_config),
		WITH_SYNC(test_features),
		WITH_BOTH(test_read_and_write),
		WITH_BOTH(test_split_anywhere),
		WITH_SYNC(test_get_id),
		WITH_SYNC(test_bad_places),
		WITH_SYNC(test_bad_sizes),
		WITH_SYNC(test_large_blocks),
		WITH_SYNC(test_huge_request),
		WITH_SYNC(test_unknown_types),
		WITH_BOTH(test_read_only),
		WITH_BOTH(test_host_error),
		WITH_BOTH(test_clear),
		WITH_SYNC(test_bad_ranges),
		WITH_SYNC(test_no_request),
		WITH_SYNC(test_many_segments),
		WITH_BOTH(test_same_head),
		WITH_SYNC(test_overlapping),
		cmocka_unit_test(test_serials),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
