// SPDX-License-Identifier: MIT
/* test_net_mmds.c - virtio-net: which frames are the metadata service's, and what it gets of them
 */

#include "net_rig.h"

#include "dev/net_mmds.h"

#include <string.h>

#define ADDRESS "169.254.169.254"

struct mmds_rig {
	struct rig rig;       /* first */
	struct packets *link; /* to the service */
	struct net_mmds_options options;
	int service; /* its end of that */
};

static int set_up_mmds_on(void **state, bool is_framed, struct net_options options)
{
	struct mmds_rig *all = calloc(1, sizeof(*all));
	struct rig *rig = &all->rig;
	int network[2], service[2];

	rig_init(rig);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, service), 0);
	assert_int_equal(
		socketpair(AF_UNIX, (is_framed ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
			network),
		0);
	rig->peer = network[1];
	all->service = service[1];
	all->options.link = open_packets(rig, service[0]);
	all->options.address.s_addr = inet_addr(ADDRESS);
	all->link = rig->packets;
	rig->packets = NULL;
	options.mmds = &all->options;
	open_net(rig, is_framed ? open_framed(rig, network[0]) : open_packets(rig, network[0]),
		options);
	*state = all;
	return 0;
}

static int set_up_mmds(void **state)
{
	return set_up_mmds_on(state, false, (struct net_options){ 0 });
}

static int set_up_mmds_framed(void **state)
{
	return set_up_mmds_on(state, true, (struct net_options){ 0 });
}

static int set_up_mmds_slow(void **state)
{
	return set_up_mmds_on(state, false, (struct net_options){ .ops = rate_per_second(20) });
}

static int tear_down_mmds(void **state)
{
	struct mmds_rig *all = *state;
	struct packets *link = all->link;
	int service = all->service;

	assert_true(link->link.fd >= 0);
	tear_down(state); /* frees it */
	assert_int_equal(link->link.fd, -1);
	close(service);
	free(link);
	return 0;
}

/* ---- frames ---- */

#define HEAD   "\x06\x01\x23\x45\x67\x01\x02\x01\x02\x03\x04\x05"
#define OTHERS "\x02\x99\x99\x99\x99\x99\x02\x01\x02\x03\x04\x05"
#define ALL    "\xff\xff\xff\xff\xff\xff\x02\x01\x02\x03\x04\x05"

/* From 10.0.0.2 (0x0a000002); length, identification and checksum do not matter. */
#define IP(frag, protocol, to)                                                                \
	"\x08\x00\x45\x00\x00\x28\x12\x34" frag "\x40" protocol "\xab\xcd\x0a\x00\x00\x02" to \
	"payload"
#define TO_MMDS "\xa9\xfe\xa9\xfe"
#define TO_NEXT "\xa9\xfe\xa9\xfd"
#define ARP(op, of)                                                                      \
	"\x08\x06\x00\x01\x08\x00\x06\x04" op "\x02\x01\x02\x03\x04\x05\x0a\x00\x00\x02" \
	"\x00\x00\x00\x00\x00\x00" of

#define FRAME(text) text, sizeof(text) - 1

/* Sent in two parts, cut after `cut` bytes of it and its header. */
static void guest_sends(struct rig *rig, const char *frame, size_t size, size_t cut)
{
	struct rig_ring *tx = &rig->ring[TX];

	memset(data_at(rig, 0x6000), 0, HEADER);
	memcpy(data_at(rig, 0x6000 + HEADER), frame, size);
	*rig_desc(tx, 0) = (struct vring_desc){ DATA + 0x6000, (uint32_t)cut, NEXT, 1 };
	*rig_desc(tx, 1) =
		(struct vring_desc){ DATA + 0x6000 + cut, (uint32_t)(HEADER + size - cut), 0, 0 };
	rig_offer(tx, 0);
	kick(rig, TX);
	assert_int_equal(rig_n_used(tx), 1);
	rig_take(tx);
}

static void assert_gets(int fd, const char *frame, size_t size)
{
	char got[3000];

	assert_int_equal(read(fd, got, sizeof(got)), HEADER + size);
	assert_memory_equal(got + HEADER, frame, size);
}

static void assert_gets_nothing(int fd)
{
	char got[3000];

	assert_int_equal(read(fd, got, sizeof(got)), -1);
	assert_int_equal(errno, EAGAIN);
}

/* ---- from the guest ---- */

/* TCP for its address, however it is addressed on the link and wherever it is cut. */
static void test_tcp(void **state)
{
	static const char mine[] = HEAD IP("\x40\x00", "\x06", TO_MMDS);
	static const char others[] = OTHERS IP("\x00\x00", "\x06", TO_MMDS);
	static const char want[] = HEAD IP("\x00\x00", "\x06", TO_MMDS);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;

	start_driver(rig, 0);
	for (size_t cut = 1; cut < HEADER + sizeof(mine) - 1; cut++) {
		guest_sends(rig, FRAME(mine), cut);
		assert_gets(all->service, FRAME(mine));
		guest_sends(rig, FRAME(others), cut);
		assert_gets(all->service, FRAME(want));
	}
	assert_gets_nothing(rig->peer);
	assert_int_equal(net_dropped_tx(rig->dev), 0);
}

/* Nothing else that the guest sends. */
static void test_others(void **state)
{
	static const char *const frames[] = {
		HEAD IP("\x00\x00", "\x06", TO_NEXT),
		HEAD "\x86\xdd" TO_MMDS TO_MMDS TO_MMDS TO_MMDS TO_MMDS TO_MMDS TO_MMDS TO_MMDS,
		ALL ARP("\x00\x01", TO_NEXT),
		ALL "\x81\x00\x00\x01" ARP("\x00\x01", TO_MMDS),
	};
	static const size_t sizes[] = { 41, 14 + 32, 42, 46 };
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;
	char frame[100];

	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	for (unsigned int i = 0; i < 4; i++) {
		memset(frame, 0, sizeof(frame));
		memcpy(frame, frames[i], sizes[i]);
		guest_sends(rig, frame, sizes[i], HEADER);
		assert_gets(rig->peer, frame, sizes[i]);
	}
	/* Cut before it says for whom it is. */
	guest_sends(rig, OTHERS IP("\x00\x00", "\x06", TO_MMDS), 33, HEADER);
	assert_gets(rig->peer, OTHERS IP("\x00\x00", "\x06", TO_MMDS), 33);
	guest_sends(rig, ALL ARP("\x00\x01", TO_MMDS), 41, HEADER);
	assert_gets(rig->peer, ALL ARP("\x00\x01", TO_MMDS), 41);
	assert_gets_nothing(all->service);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	assert_int_equal(net_dropped_tx(rig->dev), 0);
}

/* For its address, but not what it speaks: lost, and the network does not hear of it. */
static void test_refused(void **state)
{
	static const char udp[] = HEAD IP("\x00\x00", "\x11", TO_MMDS);
	static const char more[] = HEAD IP("\x20\x00", "\x06", TO_MMDS);
	static const char last[] = HEAD IP("\x00\x01", "\x06", TO_MMDS);
	static const char reply[] = HEAD ARP("\x00\x02", TO_MMDS);
	char odd[sizeof(udp)], arp[sizeof(reply)];
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;

	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	guest_sends(rig, FRAME(udp), HEADER);
	guest_sends(rig, FRAME(more), HEADER);
	guest_sends(rig, FRAME(last), HEADER);
	guest_sends(rig, FRAME(reply), HEADER);
	memcpy(odd, FRAME(HEAD IP("\x00\x00", "\x06", TO_MMDS)));
	odd[14] = 0x46; /* options */
	guest_sends(rig, FRAME(odd), HEADER);
	odd[14] = 0x65; /* version */
	guest_sends(rig, FRAME(odd), HEADER);
	memcpy(arp, FRAME(ALL ARP("\x00\x01", TO_MMDS)));
	for (unsigned int i = 14; i < 22; i++) { /* of another kind */
		arp[i] ^= 0x40;
		guest_sends(rig, FRAME(arp), HEADER);
		arp[i] ^= 0x40;
	}
	assert_gets_nothing(all->service);
	assert_gets_nothing(rig->peer);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	assert_int_equal(net_dropped_tx(rig->dev), 6 + 8);
	assert_int_equal(rig->dev->status, 15);
}

/* The service is gone, or takes no more: TCP's loss, and the network goes on. */
static void test_no_room(void **state)
{
	static const char mine[] = HEAD IP("\x40\x00", "\x06", TO_MMDS);
	static const char others[] = OTHERS IP("\x00\x00", "\x06", TO_NEXT);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;
	int small = 1;

	setsockopt(all->link->link.fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	start_driver(rig, 0);
	for (int i = 0; i < 100; i++)
		guest_sends(rig, FRAME(mine), HEADER);
	assert_in_range(net_dropped_tx(rig->dev), 1, 99);
	guest_sends(rig, FRAME(others), HEADER);
	assert_gets(rig->peer, FRAME(others));
	close(all->service);
	all->service = -1;
	run(rig);
	guest_sends(rig, FRAME(others), HEADER);
	assert_gets(rig->peer, FRAME(others));
	assert_int_equal(virtio_read_config(rig->dev, 6, 2), VIRTIO_NET_S_LINK_UP);
	assert_int_equal(rig->n_config, 0);
}

/* ---- to the guest ---- */

#define REPLY                                                                      \
	"\x02\x01\x02\x03\x04\x05\x06\x01\x23\x45\x67\x01\x08\x06\x00\x01\x08\x00" \
	"\x06\x04\x00\x02\x06\x01\x23\x45\x67\x01" TO_MMDS                         \
	"\x02\x01\x02\x03\x04\x05\x0a\x00\x00\x02"

/* ARP is answered, to the one who asked. */
static void test_arp(void **state)
{
	static const char asks[] = ALL ARP("\x00\x01", TO_MMDS);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;

	start_driver(rig, 0);
	offer_rx(rig, 2, 2048);
	for (uint16_t i = 0; i < 2; i++) {
		guest_sends(rig, FRAME(asks), HEADER);
		check_rx(rig, i, HEADER + 42);
		assert_memory_equal(data_at(rig, i * 2048u + HEADER), REPLY, 42);
		assert_int_equal(num_buffers(data_at(rig, i * 2048u)), 1);
	}
	/* When there is a buffer, once, however often it was asked. */
	guest_sends(rig, FRAME(asks), HEADER);
	guest_sends(rig, FRAME(asks), HEADER);
	offer_rx(rig, 2, 2048);
	kick(rig, RX);
	check_rx(rig, 0, HEADER + 42);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	assert_gets_nothing(all->service);
	assert_gets_nothing(rig->peer);
	assert_int_equal(net_dropped_tx(rig->dev), 0);
}

/* Into buffers that are too small it does not go, and into several it does; a reset forgets it. */
static void test_arp_room(void **state)
{
	static const char asks[] = ALL ARP("\x00\x01", TO_MMDS);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;

	start_driver(rig, 0);
	offer_rx(rig, 1, HEADER + 41);
	guest_sends(rig, FRAME(asks), HEADER);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	assert_int_equal(net_dropped_rx(rig->dev), 1);
	guest_sends(rig, FRAME(asks), HEADER);
	assert_int_equal(net_dropped_rx(rig->dev), 2);
	virtio_set_status(rig->dev, 0);
	start_driver(rig, MRG);
	offer_rx(rig, SIZE, 20);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
	guest_sends(rig, FRAME(asks), HEADER);
	check_rx(rig, 0, 20);
	check_rx(rig, 1, 20);
	check_rx(rig, 2, HEADER + 42 - 40);
	assert_int_equal(num_buffers(data_at(rig, 0)), 3);
	assert_memory_equal(data_at(rig, HEADER), REPLY, 42);
	/* Asked, and not answered before the reset. */
	virtio_set_status(rig->dev, 0);
	start_driver(rig, 0);
	guest_sends(rig, FRAME(asks), HEADER);
	virtio_set_status(rig->dev, 0);
	start_driver(rig, 0);
	offer_rx(rig, 4, 2048);
	kick(rig, RX);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 0);
}

static void service_sends(struct mmds_rig *all, size_t size, uint8_t fill)
{
	uint8_t frame[HEADER + 2000] = { 0 };

	memset(frame + HEADER, fill, size);
	assert_int_equal(write(all->service, frame, HEADER + size), HEADER + size);
}

/* What it says has the guest's address, that of its last frame, and goes before the network's. */
static void test_receive(void **state)
{
	static const char asks[] = HEAD IP("\x00\x00", "\x06", TO_MMDS);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;

	start_driver(rig, 0);
	guest_sends(rig, FRAME(asks), HEADER);
	for (uint8_t i = 0; i < 3; i++) {
		peer_sends(rig, 100, i);
		service_sends(all, 200, 0x80 + i);
	}
	run(rig);
	offer_rx(rig, 6, 2048);
	kick(rig, RX);
	for (uint16_t i = 0; i < 3; i++) {
		const uint8_t *frame = data_at(rig, i * 2048u + HEADER);

		check_rx(rig, i, HEADER + 200);
		assert_memory_equal(frame, "\x02\x01\x02\x03\x04\x05", 6);
		assert_int_equal(frame[6], 0x80 + i);
		assert_int_equal(frame[199], 0x80 + i);
	}
	for (uint16_t i = 3; i < 6; i++) {
		check_rx(rig, i, HEADER + 100);
		assert_int_equal(((uint8_t *)data_at(rig, i * 2048u))[HEADER], i - 3);
	}
}

/* Without a kick, and without a system call for each frame of the network's. */
static void test_each_alone(void **state)
{
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;
	unsigned int n;

	start_driver(rig, 0);
	offer_rx(rig, 10, 2048);
	kick(rig, RX);
	service_sends(all, 1514, 1);
	run(rig);
	check_rx(rig, 0, HEADER + 1514);
	n = all->link->n_received;
	for (uint8_t i = 1; i < 5; i++) {
		peer_sends(rig, 100, i);
		run(rig);
		check_rx(rig, i, HEADER + 100);
	}
	assert_int_equal(all->link->n_received, n);
	service_sends(all, 60, 1);
	run(rig);
	check_rx(rig, 5, HEADER + 60);
}

/* A link that loses nothing gives no rule for how much room there has to be; this one does. */
static void test_beside_a_stream(void **state)
{
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;
	uint8_t frame[4 + 60] = { 0, 0, 0, 60 };

	start_driver(rig, MRG);
	offer_rx(rig, SIZE, 256);
	service_sends(all, 1500, 7);
	kick(rig, RX);
	for (uint16_t i = 0; i < 5; i++)
		check_rx(rig, i, 256);
	check_rx(rig, 5, HEADER + 1500 - 5 * 256);
	assert_int_equal(num_buffers(data_at(rig, 0)), 6);
	assert_int_equal(write(rig->peer, frame, sizeof(frame)), sizeof(frame));
	run(rig);
	check_rx(rig, 6, HEADER + 60);
	assert_int_equal(net_dropped_rx(rig->dev), 0);
}

/* Its frames count as others do. */
static void test_rate(void **state)
{
	static const char asks[] = HEAD IP("\x00\x00", "\x06", TO_MMDS);
	struct mmds_rig *all = *state;
	struct rig *rig = &all->rig;
	struct rig_ring *tx = &rig->ring[TX];

	start_driver(rig, 0);
	memset(data_at(rig, 0x6000), 0, HEADER);
	memcpy(data_at(rig, 0x6000 + HEADER), FRAME(asks));
	for (uint16_t i = 0; i < 5; i++)
		rig_offer_one(tx, i, DATA + 0x6000, HEADER + sizeof(asks) - 1, 0);
	offer_rx(rig, 5, 2048);
	for (uint8_t i = 0; i < 5; i++)
		service_sends(all, 60, i);
	virtio_kick(rig->dev, RX);
	kick(rig, TX);
	assert_int_equal(rig_n_used(tx), 3);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 3);
	run_for(rig, 200);
	assert_int_equal(rig_n_used(tx), 5);
	assert_int_equal(rig_n_used(&rig->ring[RX]), 5);
}

static void test_not_with_vhost(void **state)
{
	struct net_mmds_options mmds = { 0 };
	struct net_options options = {
		.fd = NET_NO_FD, .tap = (char[]){ "lo" }, .vhost = true, .mmds = &mmds
	};
	struct virtio_env env = { 0 };
	struct diag diag;

	assert_null(net_open(&options, &env, &diag));
	assert_string_equal(diag.text,
		"the metadata service is not for vhost, where the kernel moves the frames");
}

#define MMDS(name) cmocka_unit_test_setup_teardown(name, set_up_mmds, tear_down_mmds)

int main(void)
{
	const struct CMUnitTest tests[] = {
		MMDS(test_tcp),
		MMDS(test_others),
		MMDS(test_refused),
		MMDS(test_no_room),
		MMDS(test_arp),
		MMDS(test_arp_room),
		MMDS(test_receive),
		MMDS(test_each_alone),
		cmocka_unit_test_setup_teardown(
			test_beside_a_stream, set_up_mmds_framed, tear_down_mmds),
		cmocka_unit_test_setup_teardown(test_rate, set_up_mmds_slow, tear_down_mmds),
		cmocka_unit_test(test_not_with_vhost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
