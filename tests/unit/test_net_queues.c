// SPDX-License-Identifier: MIT
/* test_net_queues.c - virtio-net with several pairs of queues: what the driver says of them */

#include "net_rig.h"
#include "state_rig.h"

#include <linux/virtio_net.h>

#define N_PAIRS 2
#define CONTROL (2 * N_PAIRS)
#define MQ      (VIRTIO_BIT(VIRTIO_NET_F_MQ) | VIRTIO_BIT(VIRTIO_NET_F_CTRL_VQ))
#define COMMAND 0xc000

struct queues {
	struct rig rig; /* first; its packets are those of the first pair */
	struct packets *second;
	int second_peer;
	struct rig_ring ring[CONTROL + 1];
	bool on[N_PAIRS];
};

static struct queues *the_queues; /* of the test that runs */

static void switch_queue(struct link *link, bool on)
{
	unsigned int i = link != &the_queues->rig.packets->link;

	assert_int_not_equal(the_queues->on[i], on);
	the_queues->on[i] = on;
}

static struct link_ops several_ops;

static int set_up_several(void **state)
{
	struct queues *queues = calloc(1, sizeof(*queues));
	struct rig *rig = &queues->rig;
	int first[2], second[2];

	the_queues = queues;
	several_ops = packets_ops;
	several_ops.switch_queue = switch_queue;
	queues->on[0] = queues->on[1] = true;
	rig_init(rig);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, first);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, second);
	rig->peer = first[1];
	queues->second_peer = second[1];
	open_packets(rig, second[0]);
	queues->second = rig->packets;
	open_packets(rig, first[0]);
	queues->second->link.ops = rig->packets->link.ops = &several_ops;
	rig->packets->link.next = &queues->second->link;
	open_net(rig, &rig->packets->link, (struct net_options){ 0 });
	*state = queues;
	return 0;
}

static int tear_down_several(void **state)
{
	struct queues *queues = *state;

	assert_int_equal(queues->rig.packets->link.fd < 0, 0);
	close(queues->second_peer);
	virtio_close(queues->rig.dev);
	assert_int_equal(queues->rig.packets->link.fd, -1);
	assert_int_equal(queues->second->link.fd, -1);
	close(queues->rig.peer);
	loop_fini(&queues->rig.loop);
	rig_mem_fini(&queues->rig.mem);
	free(queues->rig.packets);
	free(queues->second);
	free(queues);
	return 0;
}

/* With all queues, and a few buffers for frames in each pair. */
static void start_all(struct queues *queues, uint64_t features)
{
	struct virtio_dev *dev = queues->rig.dev;

	features |= BASIC;
	virtio_set_status(dev, 3);
	for (uint32_t word = 0; word < 2; word++)
		virtio_set_features_word(dev, word, (uint32_t)(features >> 32 * word));
	virtio_set_status(dev, 11);
	for (unsigned int i = 0; i <= CONTROL; i++) {
		rig_ring_init(&queues->ring[i], &queues->rig.mem, 0x1000 * (i + 1), SIZE);
		rig_place(&queues->ring[i], virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
	}
	virtio_set_status(dev, 15);
	assert_int_equal(dev->status, 15);
	for (unsigned int i = 0; i < N_PAIRS; i++) {
		for (uint16_t head = 0; head < 3; head++)
			rig_offer_one(&queues->ring[2 * i], head,
				0x8000 + i * 0x2000 + head * 0x800, 0x800, WRITE);
		virtio_kick(dev, 2 * i);
	}
	run(&queues->rig);
}

/* The device's answer, or -1. */
static int say(struct queues *queues, uint8_t class, uint8_t cmd, uint16_t n)
{
	struct rig *rig = &queues->rig;
	struct rig_ring *ring = &queues->ring[CONTROL];
	uint8_t *at = rig_at(&rig->mem, COMMAND, 5);
	uint16_t n_used = rig_n_used(ring);

	at[0] = class;
	at[1] = cmd;
	at[2] = (uint8_t)n;
	at[3] = (uint8_t)(n >> 8);
	at[4] = 0xee;
	*rig_desc(ring, 0) = (struct vring_desc){ COMMAND, 2, NEXT, 1 };
	*rig_desc(ring, 1) = (struct vring_desc){ COMMAND + 2, 2, NEXT, 2 };
	*rig_desc(ring, 2) = (struct vring_desc){ COMMAND + 4, 1, WRITE, 0 };
	rig_offer(ring, 0);
	virtio_kick(rig->dev, CONTROL);
	run(rig);
	return rig_n_used(ring) == (uint16_t)(n_used + 1) ? at[4] : -1;
}

static int set_pairs(struct queues *queues, uint16_t n)
{
	return say(queues, VIRTIO_NET_CTRL_MQ, VIRTIO_NET_CTRL_MQ_VQ_PAIRS_SET, n);
}

static void send_to_second(const struct queues *queues)
{
	uint8_t frame[HEADER + 60] = { 0 };

	assert_int_equal(write(queues->second_peer, frame, sizeof(frame)), sizeof(frame));
}

static void test_offer(void **state)
{
	struct queues *queues = *state;
	const struct virtio_dev *dev = queues->rig.dev;

	assert_int_equal(dev->n_queues, CONTROL + 1);
	assert_true((dev->offered & MQ) == MQ);
	assert_int_equal(virtio_read_config(dev, 8, 2), N_PAIRS);
	assert_true(queues->on[0] && !queues->on[1]);
}

static void test_pairs(void **state)
{
	struct queues *queues = *state;
	uint8_t got[200];

	start_all(queues, MQ);
	send_to_second(queues);
	run(&queues->rig);
	assert_int_equal(rig_n_used(&queues->ring[2]), 0);
	assert_int_equal(queues->second->n_received, 0);
	assert_int_equal(set_pairs(queues, 2), VIRTIO_NET_OK);
	assert_true(queues->on[0] && queues->on[1]);
	/* What came while it was off waits in this link. */
	assert_int_equal(rig_n_used(&queues->ring[2]), 1);
	send_to_second(queues);
	run(&queues->rig);
	assert_int_equal(rig_n_used(&queues->ring[2]), 2);
	assert_int_equal(queues->rig.n_signals[2], 2);
	assert_int_equal(rig_n_used(&queues->ring[0]), 0);

	rig_offer_one(&queues->ring[3], 0, 0x8000, HEADER + 60, 0);
	virtio_kick(queues->rig.dev, 3);
	run(&queues->rig);
	assert_int_equal(read(queues->second_peer, got, sizeof(got)), HEADER + 60);
	assert_int_equal(read(queues->rig.peer, got, sizeof(got)), -1);

	assert_int_equal(set_pairs(queues, 1), VIRTIO_NET_OK);
	assert_true(queues->on[0] && !queues->on[1]);
	assert_int_equal(net_dropped_tx(queues->rig.dev), 0);
	rig_offer_one(&queues->ring[3], 0, 0x8000, HEADER + 60, 0);
	virtio_kick(queues->rig.dev, 3);
	run(&queues->rig);
	assert_int_equal(net_dropped_tx(queues->rig.dev), 1);
	assert_int_equal(queues->rig.dev->status, 15);
}

static void test_refused(void **state)
{
	struct queues *queues = *state;
	struct rig_ring *ring = &queues->ring[CONTROL];

	start_all(queues, MQ);
	assert_int_equal(set_pairs(queues, 0), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(queues, 3), VIRTIO_NET_ERR);
	assert_int_equal(set_pairs(queues, 0x8000), VIRTIO_NET_ERR);
	assert_int_equal(say(queues, VIRTIO_NET_CTRL_MQ, 1, 2), VIRTIO_NET_ERR);
	assert_int_equal(say(queues, VIRTIO_NET_CTRL_MAC, 0, 2), VIRTIO_NET_ERR);
	assert_true(queues->on[0] && !queues->on[1]);
	/* Too short; and no room for an answer. */
	rig_offer_one(ring, 3, COMMAND + 4, 1, WRITE);
	virtio_kick(queues->rig.dev, CONTROL);
	run(&queues->rig);
	assert_int_equal(*(uint8_t *)rig_at(&queues->rig.mem, COMMAND + 4, 1), VIRTIO_NET_ERR);
	assert_int_equal(queues->rig.dev->status, 15);
	rig_offer_one(ring, 3, COMMAND, 4, 0);
	virtio_kick(queues->rig.dev, CONTROL);
	run(&queues->rig);
	assert_int_equal(queues->rig.dev->status, 15 | VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Who did not agree upon several has one; and so after each reset. */
static void test_one_again(void **state)
{
	struct queues *queues = *state;

	start_all(queues, MQ & ~VIRTIO_BIT(VIRTIO_NET_F_MQ));
	assert_int_equal(set_pairs(queues, 2), VIRTIO_NET_ERR);
	virtio_set_status(queues->rig.dev, 0);
	start_all(queues, MQ);
	assert_int_equal(set_pairs(queues, 2), VIRTIO_NET_OK);
	virtio_set_status(queues->rig.dev, 0);
	assert_true(queues->on[0] && !queues->on[1]);
	start_all(queues, MQ);
	send_to_second(queues);
	run(&queues->rig);
	assert_int_equal(rig_n_used(&queues->ring[2]), 0);
}

/* ---- saved and loaded ---- */

/* Links of another host, whose queues are off until they are wanted. */
static void open_others(struct queues *queues)
{
	int first[2], second[2];

	virtio_close(queues->rig.dev);
	close(queues->rig.peer);
	close(queues->second_peer);
	free(queues->rig.packets);
	free(queues->second);
	queues->on[0] = queues->on[1] = true;
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, first);
	socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, second);
	queues->rig.peer = first[1];
	queues->second_peer = second[1];
	open_packets(&queues->rig, second[0]);
	queues->second = queues->rig.packets;
	open_packets(&queues->rig, first[0]);
	queues->second->link.ops = queues->rig.packets->link.ops = &several_ops;
	queues->rig.packets->link.next = &queues->second->link;
	open_net(&queues->rig, &queues->rig.packets->link, (struct net_options){ 0 });
}

static void move(struct queues *queues)
{
	struct state_writer file = rig_save(queues->rig.dev);
	struct diag diag;

	open_others(queues);
	if (rig_load(&file, queues->rig.dev, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(queues->rig.dev);
	run(&queues->rig);
	state_free(&file);
}

/* As many as the driver uses are on, in the copy as well. */
static void test_pairs_of_a_copy(void **state)
{
	struct queues *queues = *state;

	start_all(queues, MQ);
	move(queues);
	assert_true(queues->on[0] && !queues->on[1]);
	assert_int_equal(set_pairs(queues, 2), VIRTIO_NET_OK);
	move(queues);
	assert_true(queues->on[0] && queues->on[1]);
	send_to_second(queues);
	run(&queues->rig);
	assert_int_equal(rig_n_used(&queues->ring[2]), 1);
	assert_int_equal(set_pairs(queues, 1), VIRTIO_NET_OK);
	move(queues);
	assert_true(queues->on[0] && !queues->on[1]);
}

#define SEVERAL(name) cmocka_unit_test_setup_teardown(name, set_up_several, tear_down_several)

int main(void)
{
	const struct CMUnitTest tests[] = {
		SEVERAL(test_offer),
		SEVERAL(test_pairs),
		SEVERAL(test_refused),
		SEVERAL(test_one_again),
		SEVERAL(test_pairs_of_a_copy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
