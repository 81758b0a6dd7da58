// SPDX-License-Identifier: MIT
/* test_vsock.c - streams between a guest's packets and the host's sockets */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/vsock_conn.h"
#include "vsock_rig.h"

#include <sys/resource.h>

/* ---- streams that the guest asks for ---- */

static void test_guest_calls(void **state)
{
	struct rig *rig = *state;
	const uint8_t *data;
	hdr_t hdr;
	int fd;

	start(rig, 16);
	fd = open_stream(rig);
	send_packet(rig, packet(OP(RW), 2000, 77), "hello, host", 11);
	expect_bytes(fd, "hello, host");
	assert_int_equal(send(fd, "and guest", 9, 0), 9);
	hdr = receive(rig, &data);
	assert_true(hdr.op == OP(RW) && hdr.len == 9 && hdr.fwd_cnt == 11);
	assert_int_equal(hdr.buf_alloc, 65536);
	assert_memory_equal(data, "and guest", 9);
	assert_true(rig->class->n_signals > 0);
	close(fd);
}

static void test_nobody_listens(void **state)
{
	struct rig *rig = *state;

	start(rig, 4);
	send_packet(rig, packet(OP(REQUEST), 9, 77), NULL, 0);
	expect(rig, OP(RST), 9, 77);
	/* What belongs to no stream is told so, but for a reset. */
	send_packet(rig, packet(OP(RW), 10, 78), "x", 1);
	expect(rig, OP(RST), 10, 78);
	send_packet(rig, packet(OP(RST), 10, 78), NULL, 0);
	expect_nothing(rig);
}

/* The guest's end of sending is the host's end of file, when all has been passed on; and both its
 * ends are the stream's.
 */
static void test_guest_shuts_down(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr = packet(OP(SHUTDOWN), 2000, 77);
	const uint8_t *data;
	int fd;

	start(rig, 8);
	fd = open_stream(rig);
	send_packet(rig, packet(OP(RW), 2000, 77), "last", 4);
	hdr.flags = VIRTIO_VSOCK_SHUTDOWN_SEND;
	send_packet(rig, hdr, NULL, 0);
	expect_bytes(fd, "last");
	assert_true(has_ended(rig, fd));
	assert_int_equal(send(fd, "still", 5, 0), 5);
	assert_int_equal(receive(rig, &data).len, 5);
	assert_memory_equal(data, "still", 5);
	hdr.flags = VIRTIO_VSOCK_SHUTDOWN_RCV;
	send_packet(rig, hdr, NULL, 0);
	expect(rig, OP(RST), 2000, 77);
	/* No more is to come of it. */
	send_packet(rig, packet(OP(RW), 2000, 77), "x", 1);
	expect(rig, OP(RST), 2000, 77);
	close(fd);
}

static void test_host_ends(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr;
	int fd;

	start(rig, 8);
	fd = open_stream(rig);
	assert_int_equal(shutdown(fd, SHUT_WR), 0);
	hdr = receive(rig, NULL);
	assert_true(hdr.op == OP(SHUTDOWN) && hdr.flags == VIRTIO_VSOCK_SHUTDOWN_SEND);
	send_packet(rig, packet(OP(RW), 2000, 77), "heard", 5);
	expect_bytes(fd, "heard");
	close(fd);
	/* The guest is given two seconds to let go. */
	hdr = receive(rig, NULL);
	if (hdr.op == OP(SHUTDOWN)) {
		assert_int_equal(hdr.flags, 3);
		hdr = receive(rig, NULL);
	}
	assert_int_equal(hdr.op, OP(RST));
}

/* ---- streams that the host asks for ---- */

static void test_host_calls(void **state)
{
	struct rig *rig = *state;
	const uint8_t *data;
	char answer[32];
	uint32_t port;
	hdr_t hdr;
	int fd;

	start(rig, 8);
	/* What follows the line is of the stream. */
	fd = call(rig, "CONNECT 1000\nearly");
	hdr = receive(rig, NULL);
	assert_true(hdr.op == OP(REQUEST) && hdr.dst_port == 1000 && hdr.src_port >= 1u << 30);
	port = hdr.src_port;
	expect_nothing(rig);
	send_packet(rig, packet(OP(RESPONSE), port, 1000), NULL, 0);
	snprintf(answer, sizeof(answer), "OK %u\n", port);
	expect_bytes(fd, answer);
	hdr = receive(rig, &data);
	assert_true(hdr.op == OP(RW) && hdr.len == 5);
	assert_memory_equal(data, "early", 5);
	close(fd);
}

static void test_guest_refuses(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr;
	int fd;

	start(rig, 8);
	fd = call(rig, "CONNECT 1000\n");
	hdr = receive(rig, NULL);
	send_packet(rig, packet(OP(RST), hdr.src_port, 1000), NULL, 0);
	assert_true(has_ended(rig, fd));
	close(fd);
	/* Or does not answer. */
	fd = call(rig, "CONNECT 1000\n");
	hdr = receive(rig, NULL);
	expect(rig, OP(RST), hdr.src_port, 1000);
	assert_true(has_ended(rig, fd));
	close(fd);
}

static void test_bad_lines(void **state)
{
	static const char *const bad[] = { "\n", "HELLO 1\n", "CONNECT\n", "CONNECT \n",
		"CONNECT -1\n", "CONNECT 1 2\n", "CONNECT 4294967295\n",
		"CONNECT 99999999999999999999\n", "connect 1\n",
		"CONNECT 0000000000000000000000000000000000001\n" };
	struct rig *rig = *state;

	start(rig, 8);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int fd = call(rig, bad[i]);

		assert_true(has_ended(rig, fd));
		close(fd);
	}
	expect_nothing(rig);
}

/* Nobody is there to be called. */
/* Who leaves before it has said where to leaves room for others. */
static void test_left_amid_a_line(void **state)
{
	struct rig *rig = *state;
	int fd;

	start(rig, 4);
	for (unsigned int i = 0; i < CONN_MAX + 8; i++) {
		fd = call(rig, i % 2 ? "CONNECT 5" : "");
		while (class_rig_turn(rig->class, 0))
			continue;
		if (i % 4 == 1)
			shutdown(fd, SHUT_WR);
		else
			close(fd);
		while (class_rig_turn(rig->class, 0))
			continue;
		if (i % 4 == 1) {
			assert_true(has_ended(rig, fd));
			close(fd);
		}
	}
	fd = call(rig, "CONNECT 5\n");
	assert_int_equal(receive(rig, NULL).op, OP(REQUEST));
	close(fd);
}

/* A guest may have taken all descriptors: who calls then waits for one, and nobody turns for it. */
static void test_no_descriptors(void **state)
{
	struct rig *rig = *state;
	struct rlimit limit, none;
	unsigned int n_turns = 0;
	int fd;

	start(rig, 4);
	fd = call(rig, "CONNECT 5\n");
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){ 3, limit.rlim_max };
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	while (class_rig_turn(rig->class, 20) && n_turns < 10)
		n_turns++;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
	assert_true(n_turns < 10);
	assert_int_equal(receive(rig, NULL).op, OP(REQUEST));
	close(fd);
}

static void test_no_driver(void **state)
{
	struct rig *rig = *state;
	struct diag diag;
	int fd;

	assert_int_equal(open_device(rig, rig->path, &diag), 0);
	fd = call(rig, "CONNECT 1\n");
	assert_true(has_ended(rig, fd));
	close(fd);
}

/* ---- credit ---- */

/* The guest is not sent more than it said that it has room for. */
static void test_guests_room(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr = packet(OP(CREDIT_UPDATE), 2000, 77);
	int fd;

	start(rig, 8);
	fd = open_stream(rig);
	hdr.buf_alloc = 10;
	send_packet(rig, hdr, NULL, 0);
	assert_int_equal(send(fd, "0123456789abcdef", 16, 0), 16);
	assert_int_equal(receive(rig, NULL).len, 10);
	expect(rig, OP(CREDIT_REQUEST), 2000, 77);
	expect_nothing(rig);
	hdr.fwd_cnt = 4;
	send_packet(rig, hdr, NULL, 0);
	assert_int_equal(receive(rig, NULL).len, 4);
	/* It may take room away: then there is none, and not very much. */
	hdr.buf_alloc = 0;
	send_packet(rig, hdr, NULL, 0);
	expect(rig, OP(CREDIT_REQUEST), 2000, 77);
	expect_nothing(rig);
	hdr.buf_alloc = 100;
	send_packet(rig, hdr, NULL, 0);
	assert_int_equal(receive(rig, NULL).len, 2);
	close(fd);
}

/* Nor may it send us more than 64 KiB that the host's program has not taken. */
static void test_our_room(void **state)
{
	static uint8_t data[16384], got[sizeof(data)];
	struct rig *rig = *state;
	uint64_t sent = 0, heard = 0;
	uint32_t forwarded = 0;
	hdr_t hdr;
	int fd, small = 1;

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 7 + i / 251);
	start(rig, 16);
	fd = open_stream(rig);
	setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	/* As much as is told to be free. */
	while (sent - forwarded + sizeof(data) <= 65536 && sent < MIB(4)) {
		send_packet(rig, packet(OP(RW), 2000, 77), data, sizeof(data));
		sent += sizeof(data);
		send_packet(rig, packet(OP(CREDIT_REQUEST), 2000, 77), NULL, 0);
		hdr = receive(rig, NULL);
		while (hdr.op == OP(CREDIT_UPDATE) && rig_n_used(&rig->class->ring[RX]))
			hdr = receive(rig, NULL);
		forwarded = hdr.fwd_cnt;
		offer_rx(rig, 4);
	}
	assert_true(sent < MIB(4));
	/* All of it arrives, in order, as the program takes it. */
	while (heard < sent) {
		ssize_t n = recv(fd, got, sizeof(got), MSG_DONTWAIT);

		for (ssize_t i = 0; i < n; i++)
			assert_int_equal(got[i], data[(heard + (uint64_t)i) % sizeof(data)]);
		heard += n > 0 ? (uint64_t)n : 0;
		class_rig_turn(rig->class, 0);
	}
	/* And whoever sends more than that loses the stream. */
	for (int i = 0; i < 64; i++)
		send_packet(rig, packet(OP(RW), 2000, 77), data, sizeof(data));
	do {
		offer_rx(rig, 1);
		hdr = receive(rig, NULL);
	} while (hdr.op == OP(CREDIT_UPDATE));
	assert_int_equal(hdr.op, OP(RST));
	close(fd);
}

/* When all has been passed on, that it is read is no news; when something is kept, it is. */
static void test_readers_do_not_wake(void **state)
{
	static uint8_t data[65536];
	struct rig *rig = *state;
	uint32_t sent = 1000;
	hdr_t hdr;
	int fd;

	start(rig, 16);
	fd = open_stream(rig);
	send_packet(rig, packet(OP(RW), 2000, 77), data, sent);
	while (class_rig_turn(rig->class, 0))
		continue;
	assert_int_equal(recv(fd, data, sizeof(data), MSG_DONTWAIT), 1000);
	assert_false(class_rig_turn(rig->class, 0));
	/* More than a socket takes. */
	do {
		send_packet(rig, packet(OP(RW), 2000, 77), data, 8192);
		sent += 8192;
		offer_rx(rig, 2);
		send_packet(rig, packet(OP(CREDIT_REQUEST), 2000, 77), NULL, 0);
		hdr = receive(rig, NULL);
		while (rig_n_used(&rig->class->ring[RX]))
			hdr = receive(rig, NULL);
	} while (hdr.fwd_cnt == sent);
	while (class_rig_turn(rig->class, 0))
		continue;
	while (recv(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
		continue;
	assert_true(class_rig_turn(rig->class, 0));
	close(fd);
}

/* ---- a guest that breaks the rules ---- */

static void test_in_other_names(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr = packet(OP(REQUEST), 9, 77);

	start(rig, 4);
	hdr.src_cid = CID + 1;
	send_packet(rig, hdr, NULL, 0);
	hdr.src_cid = CID;
	hdr.dst_cid = 3;
	send_packet(rig, hdr, NULL, 0);
	expect_nothing(rig);
	hdr.dst_cid = 2;
	hdr.type = 2;
	send_packet(rig, hdr, NULL, 0);
	expect(rig, OP(RST), 9, 77);
}

static void test_wrong_operations(void **state)
{
	static const uint16_t ops[] = { OP(INVALID), OP(REQUEST), OP(RESPONSE), 8, 0xffff };
	struct rig *rig = *state;

	start(rig, 32);
	for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
		char path[100];
		int fd = open_stream(rig);

		send_packet(rig, packet(ops[i], 2000, 77), NULL, 0);
		expect(rig, OP(RST), 2000, 77);
		assert_true(has_ended(rig, fd));
		close(fd);
		snprintf(path, sizeof(path), "%s_2000", rig->path);
		unlink(path);
	}
	assert_false(rig->class->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* More than there is. */
static void test_length_is_a_lie(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr = packet(OP(RW), 2000, 77);
	struct rig_ring *ring;

	start(rig, 4);
	ring = &rig->class->ring[TX];
	hdr.len = 1;
	memcpy(rig_at(&rig->class->mem, TX_AT, sizeof(hdr)), &hdr, sizeof(hdr));
	rig_offer_one(ring, 0, TX_AT, sizeof(hdr), 0);
	class_rig_serve(rig->class, TX);
	assert_true(rig->class->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

static void test_no_room_for_a_header(void **state)
{
	struct rig *rig = *state;

	start(rig, 0);
	rig_offer_one(&rig->class->ring[RX], 0, RX_AT, sizeof(hdr_t), VRING_DESC_F_WRITE);
	class_rig_serve(rig->class, RX);
	assert_true(rig->class->dev->status & VIRTIO_CONFIG_S_NEEDS_RESET);
}

/* Who asks and asks, and takes no answer, is not listened to until there is room for one. */
static void test_answers_pile_up(void **state)
{
	struct rig *rig = *state;
	struct rig_ring *ring;
	unsigned int n_answers = 0;
	hdr_t hdr = packet(OP(RW), 9, 77);

	start(rig, 0);
	ring = &rig->class->ring[TX];
	memcpy(rig_at(&rig->class->mem, TX_AT, sizeof(hdr)), &hdr, sizeof(hdr));
	for (int i = 0; i < 3; i++) {
		for (uint16_t head = 0; head < 32; head++)
			rig_offer_one(ring, head, TX_AT, sizeof(hdr), 0);
		class_rig_serve(rig->class, TX);
		while (i < 2 && rig_n_used(ring))
			rig_take(ring);
	}
	assert_int_equal(rig_n_used(ring), 0);
	while (n_answers < 96) {
		offer_rx(rig, 8);
		while (class_rig_turn(rig->class, 0))
			continue;
		for (; rig_n_used(&rig->class->ring[RX]); n_answers++)
			expect(rig, OP(RST), 9, 77);
	}
	assert_int_equal(rig_n_used(ring), 32);
}

/* Nothing of it is left for the next driver. */
static void test_reset(void **state)
{
	struct rig *rig = *state;
	int fd, waiting;

	start(rig, 4);
	fd = open_stream(rig);
	waiting = call(rig, "CONNECT 5\n");
	virtio_set_status(rig->class->dev, 0);
	assert_true(has_ended(rig, fd));
	class_rig_start(rig->class, 0);
	offer_rx(rig, 4);
	send_packet(rig, packet(OP(RW), 2000, 77), "x", 1);
	expect(rig, OP(RST), 2000, 77);
	close(waiting);
	close(fd);
}

/* Who was asked just before it was paused has still all its time to answer. */
static void test_pause(void **state)
{
	struct rig *rig = *state;
	hdr_t hdr;
	int fd;

	start(rig, 4);
	fd = call(rig, "CONNECT 5\n");
	hdr = receive(rig, NULL);
	assert_int_equal(hdr.op, OP(REQUEST));
	virtio_quiesce(rig->class->dev);
	usleep(2100 * 1000);
	virtio_resume(rig->class->dev);
	assert_false(has_ended(rig, fd));
	expect_nothing(rig);
	send_packet(rig, packet(OP(RESPONSE), hdr.src_port, 5), NULL, 0);
	expect_bytes(fd, "OK ");
	close(fd);
}

/* ---- its socket ---- */

static void test_paths(void **state)
{
	struct rig *rig = *state;
	struct sockaddr_un addr = address(rig->path);
	char longest[200], wanted[300];
	struct diag diag;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	memset(longest, 'x', sizeof(longest));
	longest[97] = '\0';
	assert_int_equal(open_device(rig, longest, &diag), -1);
	assert_non_null(
		strstr(diag.text, "the name of the socket is too long, it may have 96 bytes"));
	/* Somebody listens there; then he is dead, and his socket in the way. */
	assert_int_equal(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(open_device(rig, rig->path, &diag), -1);
	snprintf(wanted, sizeof(wanted),
		"%s: is there already; remove it, or end the VM that listens there", rig->path);
	assert_string_equal(diag.text, wanted);
	assert_int_equal(access(rig->path, F_OK), 0);
	close(fd);
	assert_int_equal(open_device(rig, rig->path, &diag), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_guest_calls),
		TEST(test_nobody_listens),
		TEST(test_guest_shuts_down),
		TEST(test_host_ends),
		TEST(test_host_calls),
		TEST(test_guest_refuses),
		TEST(test_bad_lines),
		TEST(test_left_amid_a_line),
		TEST(test_no_descriptors),
		TEST(test_no_driver),
		TEST(test_guests_room),
		TEST(test_our_room),
		TEST(test_readers_do_not_wake),
		TEST(test_in_other_names),
		TEST(test_wrong_operations),
		TEST(test_length_is_a_lie),
		TEST(test_no_room_for_a_header),
		TEST(test_answers_pile_up),
		TEST(test_reset),
		TEST(test_pause),
		TEST(test_paths),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
