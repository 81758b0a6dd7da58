// SPDX-License-Identifier: MIT
/* test_net_state.c - a virtio-net, saved and loaded: frames go on by another link */

#include "net_rig.h"
#include "state_rig.h"

static void open_other(struct rig *rig, const uint8_t address[6])
{
	struct diag diag;
	int pair[2];

	virtio_close(rig->dev);
	close(rig->peer);
	free(rig->packets);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	rig->peer = pair[1];
	rig->dev = net_create(
		open_packets(rig, pair[0]), &(struct net_options){ 0 }, address, &rig->env, &diag);
	assert_non_null(rig->dev);
	rig->dev->transport = &rig->transport;
	memset(rig->n_signals, 0, sizeof(rig->n_signals));
}

/* Another, with a link that has an address of its own. */
static void move(struct rig *rig)
{
	static const uint8_t other_mac[6] = { 2, 9, 9, 9, 9, 9 };
	struct state_writer file = rig_save(rig->dev);
	struct diag diag;

	open_other(rig, other_mac);
	if (rig_load(&file, rig->dev, &diag))
		fail_msg("%s", diag.text);
	virtio_resume(rig->dev);
	run(rig);
	state_free(&file);
}

static void offer_tx(struct rig *rig, uint16_t head, uint8_t fill)
{
	unsigned int offset = 0x8000 + head * 0x400u;
	uint8_t *at = data_at(rig, offset);

	memset(at, 0, HEADER);
	memset(at + HEADER, fill, 100);
	rig_offer_one(&rig->ring[TX], head, DATA + offset, HEADER + 100, 0);
}

static void expect_sent(struct rig *rig, uint8_t fill)
{
	uint8_t frame[2000];

	assert_int_equal(recv(rig->peer, frame, sizeof(frame), MSG_DONTWAIT), HEADER + 100);
	assert_int_equal(frame[HEADER], fill);
}

/* ---- */

/* The buffers that wait for frames are the other's; what it is known by stays. */
static void test_in_use(void **state)
{
	struct rig *rig = *state;

	start_driver(rig, CSUM | MRG);
	offer_rx(rig, 4, 0x800);
	kick(rig, RX);
	peer_sends(rig, 200, 1);
	run(rig);
	check_rx(rig, 0, HEADER + 200);
	move(rig);
	assert_int_equal(rig->packets->features, BASIC | CSUM | MRG);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(virtio_read_config(rig->dev, i, 1), mac[i]);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	peer_sends(rig, 300, 2);
	run(rig);
	check_rx(rig, 1, HEADER + 300);
	assert_int_equal(*(uint8_t *)data_at(rig, 0x800 + HEADER), 2);
	assert_int_equal(rig->n_signals[RX], 1);
	move(rig);
	move(rig);
	peer_sends(rig, 400, 3);
	run(rig);
	check_rx(rig, 2, HEADER + 400);
}

/* But where the settings say another: a driver that looks anew finds that. */
static void test_address_of_its_own(void **state)
{
	struct net_options options = { .mac = (char[]){ "02:09:09:09:09:09" } };
	static const uint8_t own[6] = { 2, 9, 9, 9, 9, 9 };
	struct rig *rig = *state;
	struct state_writer file;
	struct diag diag;
	int pair[2];

	start_driver(rig, 0);
	file = rig_save(rig->dev);
	virtio_close(rig->dev);
	close(rig->peer);
	free(rig->packets);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, pair), 0);
	rig->peer = pair[1];
	rig->dev = net_create(open_packets(rig, pair[0]), &options, own, &rig->env, &diag);
	rig->dev->transport = &rig->transport;
	assert_int_equal(rig_load(&file, rig->dev, &diag), 0);
	for (unsigned int i = 0; i < 6; i++)
		assert_int_equal(virtio_read_config(rig->dev, i, 1), own[i]);
	virtio_resume(rig->dev);
	state_free(&file);
}

/* What the first has sent is not sent again, and what it has not is. */
static void test_frames_are_sent_once(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[2000];

	start_driver(rig, 0);
	offer_tx(rig, 0, 1);
	kick(rig, TX);
	expect_sent(rig, 1);
	offer_tx(rig, 1, 2);
	offer_tx(rig, 2, 3);
	move(rig);
	expect_sent(rig, 2);
	expect_sent(rig, 3);
	assert_int_equal(recv(rig->peer, frame, sizeof(frame), MSG_DONTWAIT), -1);
	assert_int_equal(rig_n_used(&rig->ring[TX]), 3);
}

static void test_hostile_pairs(void **state)
{
	static const uint32_t numbers[] = { 0, 2, UINT32_MAX };
	struct rig *rig = *state;
	struct state_writer file;

	start_driver(rig, 0);
	file = rig_save(rig->dev);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		char expected[100];
		struct diag diag;

		open_other(rig, mac);
		rig_change(&file, net_class.state, 0, "saved.n_on", numbers[i]);
		assert_int_equal(rig_load(&file, rig->dev, &diag), -EBADMSG);
		snprintf(expected, sizeof(expected),
			"net in slot 0: it has 1 pairs of queues, and used %u", numbers[i]);
		assert_string_equal(diag.text, expected);
	}
	state_free(&file);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_in_use),
		TEST(test_address_of_its_own),
		TEST(test_frames_are_sent_once),
		TEST(test_hostile_pairs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
