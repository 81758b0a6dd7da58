// SPDX-License-Identifier: MIT
/* test_net_receive.c - virtio-net: frames for the guest, into buffers of many kinds */

#include "net_rig.h"

/* ---- to the guest ---- */

static void test_receive(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	peer_sends(rig, 60, 1);
	peer_sends(rig, 1500, 2);
	kick(rig, RX);
	check_rx(rig, 0, HEADER + 60);
	check_rx(rig, 1, HEADER + 1500);
	assert_int_equal(num_buffers(data_at(rig, 0)), 1);
	assert_int_equal(num_buffers(data_at(rig, 2048)), 1);
	assert_int_equal(((uint8_t *)data_at(rig, 2048))[HEADER + 1499], 2);
	/* Without a kick, when there are buffers. */
	peer_sends(rig, 70, 3);
	run(rig);
	check_rx(rig, 2, HEADER + 70);
	assert_int_equal(rig->n_signals[RX], 2);
}

/* No buffers: nothing turns, frames wait, and the kick brings them. */
static void test_no_buffers(void **state)
{
	struct rig *rig = *state;
	unsigned int n;

	start_driver(rig, 0);
	for (uint8_t i = 0; i < 5; i++)
		peer_sends(rig, 60, i);
	run(rig);
	n = rig->packets->n_received;
	run(rig);
	assert_int_equal(rig->packets->n_received, n);
	offer_rx(rig, 3, 2048);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 3);
	for (uint16_t i = 0; i < 3; i++)
		check_rx(rig, i, HEADER + 60);
	offer_rx(rig, 3, 2048);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 2);
	assert_int_equal(net_dropped_rx(rig->dev), 0);
}

static void test_too_long(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, 0);
	offer_rx(rig, 4, 500);
	peer_sends(rig, 500 - HEADER + 1, 1);
	peer_sends(rig, 1500, 1);
	peer_sends(rig, 500 - HEADER, 2);
	kick(rig, RX);
	check_rx(rig, 0, 500);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	assert_int_equal(net_dropped_rx(rig->dev), 2);
}

/* A frame of several buffers appears at once, and the rest serves the next. */
static void test_merged(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, MRG);
	offer_rx(rig, 8, 512);
	peer_sends(rig, 1500, 1);
	peer_sends(rig, 60, 2);
	kick(rig, RX);
	check_rx(rig, 0, 512);
	check_rx(rig, 1, 512);
	check_rx(rig, 2, HEADER + 1500 - 1024);
	assert_int_equal(num_buffers(data_at(rig, 0)), 3);
	check_rx(rig, 3, HEADER + 60);
	assert_int_equal(num_buffers(data_at(rig, 3 * 512)), 1);
	/* Four are left, enough for one, and now too few: the next waits for the kick. */
	peer_sends(rig, 1500, 3);
	peer_sends(rig, 1500, 4);
	run(rig);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 3);
	rig->ring[RX].n_seen += 3;
	offer_rx(rig, 3, 512);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 3);
	assert_int_equal(net_dropped_rx(rig->dev), 0);
}

/* A ring that is all there is and still too small for what may come: what fits goes. */
static void test_small_ring(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, MRG | TSO);
	offer_rx(rig, SIZE, 2048);
	peer_sends(rig, 1500, 1);
	kick(rig, RX);
	check_rx(rig, 0, HEADER + 1500);
	/* It has them all again. */
	rig_offer_one(&rig->ring[RX], 0, DATA, 2048, WRITE);
	peer_sends(rig, 40000, 2);
	peer_sends(rig, 100, 3);
	kick(rig, RX);
	assert_int_equal(net_dropped_rx(rig->dev), 1);
	check_rx(rig, 1, HEADER + 100);
}

static void test_large_segments(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, MRG | TSO);
	offer_rx(rig, SIZE, 8192);
	peer_sends(rig, 65535, 1);
	kick(rig, RX);
	for (uint16_t i = 0; i < 9; i++)
		check_rx(rig, i, i < 8 ? 8192 : HEADER + 65535 - 8 * 8192);
	assert_int_equal(num_buffers(data_at(rig, 0)), 9);
}

/* The header is cut, and num_buffers itself. */
static void test_cut_header(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *rx = &rig->ring[RX];
	uint8_t *data = data_at(rig, 0);

	start_driver(rig, 0);
	*rig_desc(rx, 0) = (struct vring_desc){ DATA, 11, WRITE | NEXT, 1 };
	*rig_desc(rx, 1) = (struct vring_desc){ DATA + 100, 1, WRITE | NEXT, 2 };
	*rig_desc(rx, 2) = (struct vring_desc){ DATA + 200, 1500, WRITE, 0 };
	rig_offer(rx, 0);
	peer_sends(rig, 60, 7);
	kick(rig, RX);
	check_rx(rig, 0, HEADER + 60);
	assert_int_equal(data[10], 1);
	assert_int_equal(data[100], 0);
	assert_int_equal(data[200], 7);
}

/* Reset in the middle: the buffers that were taken are not touched any more. */
static void test_reset_forgets(void **state)
{
	struct rig *rig = *state;
	uint8_t *data = data_at(rig, 0);

	start_driver(rig, MRG | TSO);
	offer_rx(rig, 4, 512);
	kick(rig, RX);
	virtio_set_status(rig->dev, 0);
	memset(data, 0x55, 8192);
	peer_sends(rig, 1000, 1);
	run(rig);
	assert_int_equal(data[0], 0x55);
	start_driver(rig, MRG);
	rig_offer_one(&rig->ring[RX], 7, DATA + 4096, 2048, WRITE);
	kick(rig, RX);
	check_rx(rig, 7, HEADER + 1000);
	assert_int_equal(data[0], 0x55);
}

static void check_is_refused(struct rig *rig)
{
	kick(rig, RX);
	assert_true(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
	virtio_set_status(rig->dev, 0);
	start_driver(rig, MRG);
}

static void test_bad_buffers(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, MRG);
	rig_offer_one(&rig->ring[RX], 0, DATA, HEADER - 1, WRITE);
	check_is_refused(rig);
	rig_offer_one(&rig->ring[RX], 0, DATA, 2048, 0);
	check_is_refused(rig);
	rig_offer_one(&rig->ring[RX], 0, DATA, 0, WRITE);
	check_is_refused(rig);
	rig_offer_one(&rig->ring[RX], 0, RIG_REGION - 10, 2048, WRITE);
	check_is_refused(rig);
}

/* Chains of a thousand one-byte pieces each, by indirect tables: more than are given to the host at
 * once.
 */
static void test_many_pieces(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *rx = &rig->ring[RX];
	struct vring_desc *table = data_at(rig, 0x8000);

	start_driver(rig, MRG | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC));
	for (uint16_t i = 0; i < 1000; i++)
		table[i] = (struct vring_desc){ DATA + i, 1, WRITE | (i < 999 ? NEXT : 0),
			(uint16_t)(i + 1) };
	for (uint16_t i = 0; i < 3; i++) {
		*rig_desc(rx, i) = (struct vring_desc){ DATA + 0x8000, 1000 * sizeof(*table),
			VRING_DESC_F_INDIRECT, 0 };
		rig_offer(rx, i);
	}
	peer_sends(rig, 988, 1);
	peer_sends(rig, 989, 2);
	peer_sends(rig, 60, 3);
	kick(rig, RX);
	check_rx(rig, 0, 1000);
	check_rx(rig, 1, HEADER + 60);
	assert_int_equal(net_dropped_rx(rig->dev), 1);
}

/* ---- a stream ---- */

static void peer_sends_framed(struct rig *rig, uint32_t size)
{
	uint8_t *data = calloc(1, 4 + size);
	uint32_t length = htonl(size);

	memcpy(data, &length, 4);
	assert_int_equal(write(rig->peer, data, 4 + size), 4 + size);
	free(data);
}

/* A frame that finds too few buffers waits for more. */
static void test_framed_waits(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, MRG);
	offer_rx(rig, 2, 1024);
	peer_sends_framed(rig, 5000);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	for (uint16_t i = 2; i < 8; i++)
		rig_offer_one(&rig->ring[RX], i, DATA + i * 1024u, 1024, WRITE);
	peer_sends_framed(rig, 60);
	kick(rig, RX);
	for (uint16_t i = 0; i < 5; i++)
		check_rx(rig, i, i < 4 ? 1024 : HEADER + 5000 - 4096);
	assert_int_equal(num_buffers(data_at(rig, 0)), 5);
	check_rx(rig, 5, HEADER + 60);
	assert_int_equal(net_dropped_rx(rig->dev), 0);
}

/* A frame that went out in part is completed though the guest sends nothing more. */
static void test_framed_completes(void **state)
{
	struct rig *rig = *state;
	int small = 4096;
	size_t have = 0;
	ssize_t n;
	char got[4096];

	setsockopt(rig->framed->link.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	start_driver(rig, 0);
	rig_offer_one(&rig->ring[TX], 0, DATA, HEADER + 60000, 0);
	rig_offer_one(&rig->ring[TX], 1, DATA, HEADER + 60000, 0);
	kick(rig, TX);
	assert_int_equal(rig_n_used(&rig->ring[TX]), 1);
	for (int i = 0; i < 1000 && have < 120008; i++) {
		while ((n = read(rig->peer, got, sizeof(got))) > 0)
			have += (size_t)n;
		run_for(rig, 1);
	}
	assert_int_equal(have, 120008);
	assert_int_equal(rig_n_used(&rig->ring[TX]), 2);
}

static void test_framed_ends(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	kick(rig, RX);
	close(rig->peer);
	rig->peer = -1;
	run(rig);
	loop_counter_add(rig->end);
	run(rig);
	assert_int_equal(virtio_read_config(rig->dev, 6, 2), 0);
	assert_int_equal(rig->n_config, 1);
}

/* ---- the machine's pause ---- */

/* Buffers that were gathered for a frame to come are not in flight; none is lost, nor a frame. */
static void test_pause(void **state)
{
	struct rig *rig = *state;
	const struct virtq *vq;

	start_driver(rig, MRG);
	vq = virtio_queue(rig->dev, RX);
	offer_rx(rig, 8, 512);
	kick(rig, RX);
	assert_int_not_equal(vq->next_avail, vq->next_used);
	virtio_quiesce(rig->dev);
	assert_int_equal(vq->next_avail, vq->next_used);
	peer_sends(rig, 1500, 1);
	run(rig);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	virtio_resume(rig->dev);
	run(rig);
	check_rx(rig, 0, 512);
	check_rx(rig, 1, 512);
	check_rx(rig, 2, HEADER + 1500 - 1024);
	assert_int_equal(num_buffers(data_at(rig, 0)), 3);
	peer_sends(rig, 60, 2);
	run(rig);
	check_rx(rig, 3, HEADER + 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_receive),
		TEST(test_no_buffers),
		TEST(test_too_long),
		TEST(test_merged),
		TEST(test_small_ring),
		TEST(test_large_segments),
		TEST(test_cut_header),
		TEST(test_reset_forgets),
		TEST(test_bad_buffers),
		TEST(test_pause),
		TEST(test_many_pieces),
		FRAMED(test_framed_waits),
		FRAMED(test_framed_completes),
		FRAMED(test_framed_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
