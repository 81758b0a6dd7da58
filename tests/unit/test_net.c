// SPDX-License-Identifier: MIT
/* test_net.c - virtio-net: what a driver reads and agrees on, what it sends, limits, the link's end
 */

#include "net_rig.h"

#include <stdio.h>
#include <string.h>

/* ---- what the guest reads of it ---- */

static void test_config(void **state)
{
	struct rig *rig = *state;
	uint64_t want = BASIC | TSO | MRG | VIRTIO_BIT(VIRTIO_NET_F_MAC) |
	                VIRTIO_BIT(VIRTIO_NET_F_MTU) | VIRTIO_BIT(VIRTIO_NET_F_STATUS);

	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(virtio_read_config(rig->dev, i, 1), mac[i]);
	assert_int_equal(virtio_read_config(rig->dev, 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(virtio_read_config(rig->dev, 10, 2), 1500);
	assert_int_equal(virtio_read_config(rig->dev, 12, 4), 0);
	assert_int_equal(rig->dev->offered & want, want);
	assert_false(rig->dev->offered & VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ));
}

/* What the driver took, not what was offered, and nothing of it after a reset. */
static void test_features(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, CSUM);
	assert_int_equal(rig->packets->features, BASIC | CSUM);
	virtio_set_status(rig->dev, 0);
	assert_int_equal(rig->packets->features, 0);
	start_driver(rig, TSO | MRG);
	assert_int_equal(rig->packets->features, BASIC | TSO | MRG);
}

/* One of passt's links, which there is under any name, as the n-th of a machine. */
static uint64_t default_mac(struct rig *rig, unsigned int n)
{
	const struct net_options options = { .fd = NET_NO_FD, .user = true };
	struct virtio_env env = rig->env;
	struct virtio_dev *dev;
	struct diag diag;
	uint64_t address = 0;

	env.ordinal = n;
	dev = net_class.open(&options, &env, &diag);
	assert_non_null(dev);
	dev->transport = &rig->transport;
	for (unsigned int i = 0; i < 6; i++)
		address = address << 8 | virtio_read_config(dev, i, 1);
	virtio_close(dev);
	return address;
}

static void test_default_macs(void **state)
{
	char dir[] = "/tmp/test_net.XXXXXX", passt[sizeof(dir) + 6], *path = getenv("PATH");
	uint64_t first;

	assert_non_null(mkdtemp(dir));
	snprintf(passt, sizeof(passt), "%s/passt", dir);
	assert_int_equal(symlink("/bin/true", passt), 0);
	path = strdup(path ? path : "");
	setenv("PATH", dir, 1);
	first = default_mac(*state, 0);
	assert_true(default_mac(*state, 0) == first);
	assert_false(default_mac(*state, 1) == first);
	assert_false(default_mac(*state, 2) == default_mac(*state, 1));
	setenv("PATH", path, 1);
	free(path);
	unlink(passt);
	rmdir(dir);
}

/* ---- from the guest ---- */

static void test_send(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *tx = &rig->ring[TX];
	uint8_t got[2000];

	start_driver(rig, 0);
	memset(data_at(rig, 0), 0x11, HEADER);
	memset(data_at(rig, HEADER), 0x22, 100);
	/* In one piece, and with the header cut in the middle. */
	rig_offer_one(tx, 0, DATA, HEADER + 100, 0);
	*rig_desc(tx, 1) = (struct vring_desc){ DATA, 5, NEXT, 2 };
	*rig_desc(tx, 2) = (struct vring_desc){ DATA + 5, HEADER + 95, 0, 0 };
	rig_offer(tx, 1);
	kick(rig, TX);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(read(rig->peer, got, sizeof(got)), HEADER + 100);
		assert_memory_equal(got, data_at(rig, 0), HEADER + 100);
		assert_int_equal(rig_take(tx).len, 0);
	}
	assert_int_equal(rig->n_signals[TX], 1);
	assert_int_equal(net_dropped_tx(rig->dev), 0);
}

/* Too short, too long, too cut, empty: lost, each alone. */
static void test_bad_frames(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *tx = &rig->ring[TX];
	uint8_t got[2000];

	start_driver(rig, 0);
	rig_offer_one(tx, 0, DATA, 5, 0);
	rig_offer_one(tx, 1, DATA, HEADER + LINK_MIN_FRAME - 1, 0);
	rig_offer_one(tx, 2, DATA, 0, 0);
	rig_offer_one(tx, 3, 0, HEADER + LINK_MAX_FRAME + 1, 0);
	rig_offer_one(tx, 4, DATA, 200, WRITE);
	rig_offer_one(tx, 5, DATA, HEADER + LINK_MIN_FRAME, 0);
	kick(rig, TX);
	assert_int_equal(rig_n_used(tx), 6);
	assert_int_equal(net_dropped_tx(rig->dev), 5);
	assert_int_equal(read(rig->peer, got, sizeof(got)), HEADER + LINK_MIN_FRAME);
	assert_int_equal(read(rig->peer, got, sizeof(got)), -1);
	assert_int_equal(rig->dev->status, 15);
}

/* The host's side has no room: frames wait, in order, and go when it has. */
static void test_no_room(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *tx = &rig->ring[TX];
	int small = 4096;
	uint8_t got[4096];
	unsigned int n = 0;

	setsockopt(rig->packets->link.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	start_driver(rig, 0);
	for (uint16_t i = 0; i < SIZE; i++)
		rig_offer_one(tx, i, DATA + i, HEADER + 2000, 0);
	memset(data_at(rig, 0), 0, 4096);
	for (uint8_t i = 0; i < SIZE; i++)
		*(uint8_t *)data_at(rig, HEADER + i) = i;
	kick(rig, TX);
	assert_in_range(rig_n_used(tx), 1, SIZE - 1);
	for (; n < SIZE && read(rig->peer, got, sizeof(got)) > 0; n++) {
		assert_int_equal(got[HEADER], n);
		run_for(rig, 1);
	}
	assert_int_equal(n, SIZE);
	assert_int_equal(rig_n_used(tx), SIZE);
	assert_int_equal(net_dropped_tx(rig->dev), 0);
}

/* ---- limits and ends ---- */

static void test_rate(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *tx = &rig->ring[TX];
	int pair[2];

	virtio_close(rig->dev);
	free(rig->packets);
	close(rig->peer);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	rig->peer = pair[1];
	/* A bucket of 3, then one each 50 ms. */
	open_net(rig, open_packets(rig, pair[0]),
		(struct net_options){ .ops = rate_per_second(20) });
	start_driver(rig, 0);
	for (uint16_t i = 0; i < 5; i++)
		rig_offer_one(tx, i, DATA, HEADER + 60, 0);
	offer_rx(rig, 5, 2048);
	for (uint8_t i = 0; i < 5; i++)
		peer_sends(rig, 60, i);
	virtio_kick(rig->dev, RX);
	kick(rig, TX);
	assert_int_equal(rig_n_used(tx), 3);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 3);
	run_for(rig, 200);
	assert_int_equal(rig_n_used(tx), 5);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 5);
}

/* The link ends: the guest sees it down, frames go nowhere, and nothing turns. */
static void hear_failure(void *ctx, const struct virtio_dev *, const char *why)
{
	assert_string_equal(why, "it has ended");
	++*(unsigned int *)ctx;
}

static void test_link_ends(void **state)
{
	struct rig *rig = *state;
	unsigned int n_told = 0;

	rig->env.failed = hear_failure;
	rig->env.ctx = &n_told;
	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	kick(rig, RX);
	close(rig->peer);
	rig->peer = -1;
	run(rig);
	assert_int_equal(rig->packets->n_ends, 1);
	assert_int_equal(n_told, 1);
	assert_int_equal(virtio_read_config(rig->dev, 6, 2), 0);
	assert_int_equal(rig->n_config, 1);
	rig_offer_one(&rig->ring[TX], 0, DATA, HEADER + 60, 0);
	kick(rig, TX);
	assert_int_equal(rig_n_used(&rig->ring[TX]), 1);
	assert_int_equal(net_dropped_tx(rig->dev), 1);
	/* And so with the next driver. */
	virtio_set_status(rig->dev, 0);
	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	kick(rig, RX);
	assert_int_equal(rig->packets->n_ends, 1);
	assert_int_equal(virtio_read_config(rig->dev, 6, 2), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_config),
		TEST(test_features),
		TEST(test_default_macs),
		TEST(test_send),
		TEST(test_bad_frames),
		TEST(test_no_room),
		TEST(test_rate),
		TEST(test_link_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
