// SPDX-License-Identifier: MIT
/* test_vconsole_port.c - virtio-console as a port: who is there, and what goes both ways */

#include "vconsole_rig.h"

/* ---- the guest's side ---- */

static void control(struct rig *rig, uint32_t id, uint16_t event, uint16_t value)
{
	const struct virtio_console_control message = { id, event, value };

	offer(rig, CONTROL_RX, NULL, 128);
	offer(rig, CONTROL_TX, &message, sizeof(message));
}

static void expect_event(struct rig *rig, uint16_t event, uint16_t value, const char *name)
{
	const struct virtio_console_control *message;

	message = (const void *)heard(rig, CONTROL_RX);
	assert_non_null(message);
	assert_int_equal(message->id, 0);
	assert_int_equal(message->event, event);
	assert_int_equal(message->value, value);
	assert_string_equal((const char *)(message + 1), name);
}

/* As Linux does with a port that a program has open. */
static void open_port(struct rig *rig, bool is_connected)
{
	control(rig, 0, VIRTIO_CONSOLE_DEVICE_READY, 1);
	expect_event(rig, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	control(rig, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	control(rig, 0, VIRTIO_CONSOLE_PORT_OPEN, 1);
	expect_event(rig, VIRTIO_CONSOLE_PORT_NAME, 1, "agent.0");
	expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, is_connected, "");
	assert_null(heard(rig, CONTROL_RX));
	for (int i = 0; i < 4; i++)
		offer(rig, CONTROL_RX, NULL, 128);
}

/* ---- a port ---- */

static void test_port_that_is_a_file(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_FILE);
	assert_int_equal(rig->dev->n_queues, 4);
	assert_int_equal(virtio_offered_word(rig->dev, 0) & 0xffffff, 2);
	open_port(rig, true);
	say(rig, "log\n");
	expect_file(rig, "log\n");
}

static void test_port_and_its_visitors(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	open_port(rig, false);
	say(rig, "to nobody\n");
	assert_int_equal(rig_take(&rig->ring[TX]).len, 0);
	for (int i = 0; i < 2; i++) {
		rig->client = connect_to(rig);
		expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
		expect_read(rig->client, "");
		type(rig, "question");
		assert_string_equal(heard(rig, RX), "question");
		say(rig, "answer\n");
		expect_read(rig->client, "answer\n");
		close(rig->client);
		rig->client = -1;
		turn(rig, 5);
		expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
		offer(rig, RX, NULL, 4096);
		offer(rig, CONTROL_RX, NULL, 128);
		offer(rig, CONTROL_RX, NULL, 128);
	}
}

static void test_port_that_is_not_open(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	rig->client = connect_to(rig);
	type(rig, "question");
	assert_null(heard(rig, RX));
	open_port(rig, true);
	turn(rig, 5);
	assert_string_equal(heard(rig, RX), "question");
	control(rig, 0, VIRTIO_CONSOLE_PORT_OPEN, 0);
	offer(rig, RX, NULL, 4096);
	type(rig, "another");
	assert_null(heard(rig, RX));
}

/* Nothing is lost: what does not go on is held, and the guest waits. */
static void test_port_with_a_slow_reader(void **state)
{
	enum { N = 200, PIECE = 8192 };
	struct rig *rig = *state;
	static uint8_t data[PIECE], got[N * PIECE + 1];
	unsigned int n_sent = 0;
	size_t n_got = 0;

	make(rig, &port_class, CONSOLE_SOCKET);
	open_port(rig, false);
	rig->client = connect_to(rig);
	rig->consoles.line[0].console->out.stall_ms = 1;
	while (n_sent < N || n_got < sizeof(got) - 1) {
		ssize_t n;

		while (n_sent < N && rig->ring[TX].n_offered - rig->ring[TX].n_seen < 8) {
			for (unsigned int i = 0; i < PIECE; i++)
				data[i] = (uint8_t)(n_sent * 31 + i);
			offer(rig, TX, data, PIECE);
			n_sent++;
		}
		turn(rig, 3);
		n = read(rig->client, got + n_got, sizeof(got) - n_got);
		n_got += n > 0 ? (size_t)n : 0;
		turn(rig, 1);
		while (rig_n_used(&rig->ring[TX]))
			rig_take(&rig->ring[TX]);
	}
	for (size_t i = 0; i < n_got; i++)
		if (got[i] != (uint8_t)(i / PIECE * 31 + i % PIECE))
			fail_msg("byte %zu", i);
}

/* The chain that is held when the guest resets is not gone on with. */
static void test_reset_while_it_waits(void **state)
{
	struct rig *rig = *state;
	static uint8_t data[8192];
	unsigned int n = 0;

	make(rig, &port_class, CONSOLE_SOCKET);
	open_port(rig, false);
	rig->client = connect_to(rig);
	do
		offer(rig, TX, data, sizeof(data));
	while (rig_n_used(&rig->ring[TX]) == ++n && n < 1000);
	bring_up(rig);
	open_port(rig, true);
	while (read(rig->client, data, sizeof(data)) > 0)
		turn(rig, 1);
	say(rig, "whole\n");
	turn(rig, 5);
	expect_read(rig->client, "whole\n");
}

/* ---- what no driver does ---- */

static void expect_failure(struct rig *rig, bool fails)
{
	if (!!(rig->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET) != fails)
		fail_msg("fails: %d", fails);
	bring_up(rig);
}

static void test_bad_chains(void **state)
{
	struct rig *rig = *state;
	const struct virtio_console_control message = { 0, VIRTIO_CONSOLE_DEVICE_READY, 1 };

	make(rig, &port_class, CONSOLE_FILE);
	offer(rig, RX, "readable", 8);
	expect_failure(rig, true);
	offer(rig, CONTROL_TX, "short", 5);
	expect_failure(rig, true);
	offer(rig, CONTROL_TX, NULL, 8);
	expect_failure(rig, true);
	offer(rig, TX, NULL, 100); /* says nothing */
	expect_failure(rig, false);
	offer(rig, CONTROL_TX, &message, sizeof(message));
	offer(rig, CONTROL_RX, NULL, 7);
	expect_failure(rig, true);
	expect_file(rig, "");
}

static void test_odd_messages(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_FILE);
	control(rig, 0, VIRTIO_CONSOLE_DEVICE_READY, 0);
	control(rig, 1, VIRTIO_CONSOLE_PORT_READY, 1);
	control(rig, UINT32_MAX, VIRTIO_CONSOLE_PORT_OPEN, 1);
	control(rig, 0, 99, 1);
	assert_null(heard(rig, CONTROL_RX));
	/* Without room to answer, and again and again: it is told once. */
	for (int i = 0; i < 20; i++)
		control(rig, 0, VIRTIO_CONSOLE_PORT_READY, 1);
	bring_up(rig);
	for (int i = 0; i < 20; i++) {
		const struct virtio_console_control ready = { 0, VIRTIO_CONSOLE_DEVICE_READY, 1 };

		offer(rig, CONTROL_TX, &ready, sizeof(ready));
	}
	offer(rig, CONTROL_RX, NULL, 128);
	offer(rig, CONTROL_RX, NULL, 128);
	expect_event(rig, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	assert_null(heard(rig, CONTROL_RX));
}

/* ---- saved and loaded ---- */

/* Who was there is not any more, of which the guest is told; and of who comes. */
static void test_visitors_of_a_copy(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_SOCKET);
	offer(rig, RX, NULL, 4096);
	open_port(rig, false);
	rig->client = connect_to(rig);
	expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	say(rig, "hello\n");
	expect_read(rig->client, "hello\n");
	move(rig, &port_class, CONSOLE_SOCKET);
	turn(rig, 5);
	expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 0, "");
	assert_null(heard(rig, CONTROL_RX));
	say(rig, "to nobody\n");
	rig->client = connect_to(rig);
	expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	expect_read(rig->client, "");
	type(rig, "question");
	assert_string_equal(heard(rig, RX), "question");
	say(rig, "answer\n");
	expect_read(rig->client, "answer\n");
}

/* One that has a file at its other end is open as before. */
static void test_copy_at_a_file(void **state)
{
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_SOCKET);
	open_port(rig, false);
	move(rig, &port_class, CONSOLE_FILE);
	turn(rig, 5);
	expect_event(rig, VIRTIO_CONSOLE_PORT_OPEN, 1, "");
	say(rig, "log\n");
	expect_file(rig, "log\n");
}

/* The driver has asked what there is, and was not told yet. */
static void test_copy_amid_control(void **state)
{
	const struct virtio_console_control ready = { 0, VIRTIO_CONSOLE_DEVICE_READY, 1 };
	struct rig *rig = *state;

	make(rig, &port_class, CONSOLE_SOCKET);
	offer(rig, CONTROL_TX, &ready, sizeof(ready));
	move(rig, &port_class, CONSOLE_SOCKET);
	assert_null(heard(rig, CONTROL_RX));
	offer(rig, CONTROL_RX, NULL, 128);
	expect_event(rig, VIRTIO_CONSOLE_PORT_ADD, 1, "");
	offer(rig, CONTROL_RX, NULL, 128);
	assert_null(heard(rig, CONTROL_RX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_port_that_is_a_file),
		TEST(test_port_and_its_visitors),
		TEST(test_port_that_is_not_open),
		TEST(test_port_with_a_slow_reader),
		TEST(test_reset_while_it_waits),
		TEST(test_bad_chains),
		TEST(test_odd_messages),
		TEST(test_visitors_of_a_copy),
		TEST(test_copy_at_a_file),
		TEST(test_copy_amid_control),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
