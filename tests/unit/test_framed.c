// SPDX-License-Identifier: MIT
/* test_framed.c - frames on a stream: cut anywhere, on both ways, and nonsense between them */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "host/framed.h"
#include "util/bits.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM (LINK_HEADER + FRAMED_MAX)

struct rig {
	struct framed framed;
	int peer;
	uint8_t room[ROOM + 1];
};

static const struct link_ops no_ops;

static int set_up(void **state)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(framed_init(&rig->framed, &no_ops, pair[0]), 0);
	assert_int_equal(fcntl(pair[1], F_SETFL, O_NONBLOCK), 0);
	rig->peer = pair[1];
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	framed_fini(&rig->framed);
	close(rig->peer);
	free(rig);
	return 0;
}

static void peer_writes(struct rig *rig, const void *data, size_t size)
{
	assert_int_equal(write(rig->peer, data, size), size);
}

/* A frame of `size` bytes whose contents tell of it. */
static void make_frame(uint8_t *frame, size_t size)
{
	for (size_t i = 0; i < size; i++)
		frame[i] = (uint8_t)(i * 7 + size);
}

static size_t make_framed(uint8_t *to, size_t size)
{
	uint32_t length = htonl((uint32_t)size);

	memcpy(to, &length, 4);
	make_frame(to + 4, size);
	return size + 4;
}

static ssize_t receive(struct rig *rig, size_t room, bool is_all)
{
	struct iovec iov[2] = { { rig->room, room } };

	memset(rig->room, 0xee, sizeof(rig->room));
	return framed_receive(&rig->framed.link, iov, 1, room, is_all);
}

static void check_frame(struct rig *rig, ssize_t got, size_t size)
{
	static const struct virtio_net_hdr_v1 header = { .num_buffers = 1 };
	uint8_t *frame = malloc(size);

	make_frame(frame, size);
	assert_int_equal(got, LINK_HEADER + size);
	assert_memory_equal(rig->room, &header, LINK_HEADER);
	assert_memory_equal(rig->room + LINK_HEADER, frame, size);
	assert_int_equal(rig->room[got], 0xee);
	free(frame);
}

static void test_a_byte_at_a_time(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4 + 60];
	size_t size = make_framed(data, 60);

	for (int round = 0; round < 3; round++) {
		for (size_t i = 0; i < size; i++) {
			assert_int_equal(receive(rig, ROOM, false), -EAGAIN);
			peer_writes(rig, data + i, 1);
		}
		check_frame(rig, receive(rig, ROOM, false), 60);
	}
}

/* Many frames of all sizes in one stream, cut into pieces of many sizes. */
static void test_any_cut(void **state)
{
	struct rig *rig = *state;
	static const size_t sizes[] = { 14, 60, 65535, 1514, 15, 40000, 65535, 65535, 100, 14 };
	static const size_t cuts[] = { 1021, 4096, 5, 65539, 20000, 3, 131 };
	size_t total = 0, at = 0, n_cut = 0, next = 0;
	uint8_t *all = malloc(MIB(1));

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		total += make_framed(all + total, sizes[i]);
	while (next < ARRAY_SIZE(sizes)) {
		ssize_t got = receive(rig, ROOM, false);

		if (got == -EAGAIN) {
			size_t n = cuts[n_cut++ % ARRAY_SIZE(cuts)];

			assert_true(at < total);
			n = n < total - at ? n : total - at;
			peer_writes(rig, all + at, n);
			at += n;
			continue;
		}
		check_frame(rig, got, sizes[next++]);
	}
	assert_int_equal(at, total);
	assert_int_equal(receive(rig, ROOM, false), -EAGAIN);
	free(all);
}

static void test_room(void **state)
{
	struct rig *rig = *state;
	uint8_t data[2 * (4 + 100)];

	make_framed(data, 100);
	make_framed(data + 104, 100);
	peer_writes(rig, data, sizeof(data));
	/* It waits for room, and goes if there will be none. */
	assert_int_equal(receive(rig, LINK_HEADER + 99, false), -ENOBUFS);
	assert_int_equal(receive(rig, LINK_HEADER, false), -ENOBUFS);
	check_frame(rig, receive(rig, LINK_HEADER + 100, false), 100);
	assert_int_equal(receive(rig, LINK_HEADER + 99, true), -EMSGSIZE);
	assert_int_equal(receive(rig, ROOM, true), -EAGAIN);
}

/* Segments of all sizes, the header's too. */
static void test_scatter(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4 + 300];

	for (size_t piece = 1; piece < 320; piece++) {
		struct iovec iov[314];
		unsigned int n = 0;

		peer_writes(rig, data, make_framed(data, 300));
		memset(rig->room, 0xee, sizeof(rig->room));
		for (size_t at = 0; at < 312; at += piece, n++)
			iov[n] = (struct iovec){ rig->room + at,
				piece < 312 - at ? piece : 312 - at };
		check_frame(rig, framed_receive(&rig->framed.link, iov, n, 312, false), 300);
	}
}

static void check_is_nonsense(struct rig *rig, uint32_t size)
{
	uint32_t length = htonl(size);
	char byte;

	peer_writes(rig, &length, 4);
	assert_int_equal(receive(rig, ROOM, false), -EPIPE);
	assert_int_equal(receive(rig, ROOM, true), -EPIPE);
	assert_int_equal(read(rig->peer, &byte, 1), 0);
}

static void test_too_short(void **state)
{
	check_is_nonsense(*state, 13);
}

static void test_nothing(void **state)
{
	check_is_nonsense(*state, 0);
}

static void test_too_long(void **state)
{
	check_is_nonsense(*state, FRAMED_MAX + 1);
}

static void test_far_too_long(void **state)
{
	check_is_nonsense(*state, UINT32_MAX);
}

static void test_end_in_a_frame(void **state)
{
	struct rig *rig = *state;
	uint8_t data[4 + 100];

	make_framed(data, 100);
	peer_writes(rig, data, 50);
	shutdown(rig->peer, SHUT_RDWR);
	assert_int_equal(receive(rig, ROOM, false), -EPIPE);
}

/* ---- sending ---- */

static int send_frame(struct rig *rig, const uint8_t *frame, size_t size, size_t piece)
{
	static uint8_t header[LINK_HEADER] = "do not look";
	struct iovec iov[64] = { { header, 7 }, { header + 7, 5 } };
	unsigned int n = 2;

	for (size_t at = 0; at < size; at += piece)
		iov[n++] = (struct iovec){ (void *)(frame + at),
			piece < size - at ? piece : size - at };
	return framed_send(&rig->framed.link, iov, n);
}

/* Read it all and compare; false if it has not all come yet. */
static void peer_reads(struct rig *rig, uint8_t *to, size_t *have)
{
	ssize_t n;

	while ((n = read(rig->peer, to + *have, KIB(4))) > 0)
		*have += (size_t)n;
}

/* The peer reads late, so frames go out cut, with others behind them. */
static void test_half_written(void **state)
{
	struct rig *rig = *state;
	static const size_t sizes[] = { 60, 65535, 1514, 40000, 14 };
	uint8_t *frame = malloc(FRAMED_MAX), *want = malloc(MIB(16)), *have = malloc(MIB(16));
	size_t n_want = 0, n_have = 0, n_cut = 0;
	int small = 4096;

	setsockopt(rig->framed.link.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	for (int i = 0; i < 200; i++) {
		size_t size = sizes[i % (int)ARRAY_SIZE(sizes)];
		int ret;

		make_frame(frame, size);
		while ((ret = send_frame(rig, frame, size, 4000)) == -EAGAIN)
			peer_reads(rig, have, &n_have);
		assert_in_range(ret, 0, 1);
		n_cut += (size_t)ret;
		n_want += make_framed(want + n_want, size);
	}
	while (framed_flush(&rig->framed.link) == -EAGAIN)
		peer_reads(rig, have, &n_have);
	peer_reads(rig, have, &n_have);
	assert_true(n_cut > 10);
	assert_int_equal(n_have, n_want);
	assert_memory_equal(have, want, n_want);
	free(frame);
	free(want);
	free(have);
}

/* What the other side would take for the end of all is lost alone. */
static void test_bad_sizes(void **state)
{
	struct rig *rig = *state;
	uint8_t *frame = calloc(1, FRAMED_MAX + 1), back[4 + 14];

	assert_int_equal(send_frame(rig, frame, 0, 1), -EMSGSIZE);
	assert_int_equal(send_frame(rig, frame, 13, 13), -EMSGSIZE);
	assert_int_equal(send_frame(rig, frame, FRAMED_MAX + 1, 4096), -EMSGSIZE);
	assert_int_equal(send_frame(rig, frame, 14, 3), 0);
	assert_int_equal(read(rig->peer, back, sizeof(back)), sizeof(back));
	assert_int_equal(back[3], 14);
	free(frame);
}

static void test_send_to_nobody(void **state)
{
	struct rig *rig = *state;
	uint8_t frame[60] = { 0 };

	shutdown(rig->peer, SHUT_RDWR);
	assert_int_equal(send_frame(rig, frame, 60, 60), -EPIPE);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_byte_at_a_time),
		TEST(test_any_cut),
		TEST(test_room),
		TEST(test_scatter),
		TEST(test_too_short),
		TEST(test_nothing),
		TEST(test_too_long),
		TEST(test_far_too_long),
		TEST(test_end_in_a_frame),
		TEST(test_half_written),
		TEST(test_bad_sizes),
		TEST(test_send_to_nobody),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
