// SPDX-License-Identifier: MIT
/* fuzz_net.c - virtio-net between a driver that keeps no rule and a peer that keeps none
 *
 * The link is a stream of frames (host/framed.h), looked at on its way: what it is given lies in
 * RAM.  The metadata service, whose address is 0.0.0.0, says what it hears.  The input is a row of
 * steps.  The upper two bits of the first byte say what it is, bit 0 which queue:
 *
 * - 0: a descriptor: its number, where it points (2 bytes, of 8), its length (2 bytes; bit 1 of
 *   the first byte: times 64), flags, next
 * - 1: a chain is offered, as many times as bits 4:2 say and once more: its head; the device is
 *   kicked
 * - 2: the peer: bit 1: reads; else bits 5:2 are a number of bytes that it sends as they are, or,
 *   with bit 0, a frame of a length (2 bytes) after it
 * - 3: the driver starts anew: features (1 byte), the rings' size
 */

#include "class_machine.h"
#include "dev/net.h"
#include "host/framed.h"

#include <arpa/inet.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX, TX };

/* What the metadata service may be told without a look: where its head was copied to. */
#define HEAD  (LINK_HEADER + 34u)
#define HEARD (LINK_HEADER + 1518u)

static struct {
	struct class_machine m;
	struct framed framed;
	int peer;
	struct link mmds;
	unsigned char said[HEARD]; /* a frame with its header */
	size_t n_said;             /* 0: there is none */
	bool stopped;              /* the queues: nothing may be given to the link */
} net;

/* ---- the link, looked at ---- */

static void check_segments(const struct iovec *iov, unsigned int n, size_t room)
{
	size_t sum = 0;

	BUG_ON(net.stopped || !n);
	for (unsigned int i = 0; i < n; i++) {
		BUG_ON(!iov[i].iov_len);
		BUG_ON(!rig_is_ram(&net.m.mem, iov[i].iov_base, iov[i].iov_len));
		sum += iov[i].iov_len;
	}
	BUG_ON(room && sum != room);
}

static int link_send(struct link *link, struct iovec *iov, unsigned int n)
{
	check_segments(iov, n, 0);
	return framed_send(link, iov, n);
}

static ssize_t link_receive(
	struct link *link, struct iovec *iov, unsigned int n, size_t room, bool is_all)
{
	check_segments(iov, n, room);
	return framed_receive(link, iov, n, room, is_all);
}

static void link_set_features(struct link *link, uint64_t features)
{
	link->room = features & VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4) ? LINK_MAX_FRAME : 0;
}

static void link_ignore(struct link *)
{
}

static void link_explain_end(struct link *, struct diag *diag)
{
	diag_fail(diag, ENODEV, "it has ended");
}

static const struct link_ops link_ops = {
	.send = link_send,
	.flush = framed_flush,
	.receive = link_receive,
	.set_features = link_set_features,
	.explain_end = link_explain_end,
	.close = link_ignore,
};

/* ---- the metadata service ---- */

/* TCP for it, without options and in one piece, to its address on the link. */
static void check_head(const unsigned char *frame)
{
	BUG_ON(memcmp(frame, net_mmds_mac, 6));
	BUG_ON(frame[12] != 8 || frame[13] != 0 || frame[14] != 0x45 || frame[23] != 6);
	BUG_ON(frame[20] & 0x3f || frame[21] || memcmp(frame + 30, "\0\0\0", 4));
}

static int mmds_send(struct link *link, struct iovec *iov, unsigned int n)
{
	BUG_ON(iov[0].iov_len != HEAD);
	BUG_ON(rig_is_ram(&net.m.mem, iov[0].iov_base, HEAD));
	check_head((unsigned char *)iov[0].iov_base + LINK_HEADER);
	if (n > 1)
		check_segments(iov + 1, n - 1, 0);
	if (net.n_said)
		return -EAGAIN;
	net.n_said = iov_read(iov, n, net.said, sizeof(net.said));
	loop_counter_add(link->fd);
	return 0;
}

static ssize_t mmds_receive(struct link *, struct iovec *iov, unsigned int n, size_t room, bool)
{
	size_t size = net.n_said;

	check_segments(iov, n, room);
	net.n_said = 0;
	if (!size)
		return -EAGAIN;
	iov_write(iov, n, net.said, size);
	return size > room ? -EMSGSIZE : (ssize_t)size;
}

static void mmds_close(struct link *link)
{
	close(link->fd);
}

static const struct link_ops mmds_ops = {
	.send = mmds_send,
	.receive = mmds_receive,
	.close = mmds_close,
};

/* ---- the machine ---- */

static void start(uint64_t features, uint16_t size)
{
	virtio_set_status(net.m.dev, 0);
	net.stopped = true;
	machine_run(&net.m);
	net.stopped = false;
	machine_start(&net.m, features, size);
}

static void set_up(void)
{
	static const uint8_t mac[6] = { 2 };
	const struct net_mmds_options mmds = { .link = &net.mmds };
	const struct net_options options = { .mmds = &mmds };
	struct diag diag;
	int pair[2], small = 8192;

	machine_init(&net.m);
	BUG_ON(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair));
	setsockopt(pair[0], SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	BUG_ON(framed_init(&net.framed, &link_ops, pair[0]));
	net.framed.link.features = VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM) |
	                           VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4);
	net.peer = pair[1];
	net.mmds = (struct link){
		.ops = &mmds_ops, .fd = eventfd(0, EFD_NONBLOCK), .end_fd = -1, .room = HEARD
	};
	net.n_said = 0;
	machine_plug(&net.m, net_create(&net.framed.link, &options, mac, &net.m.env, &diag), NULL);
}

static void tear_down(void)
{
	virtio_close(net.m.dev);
	framed_fini(&net.framed);
	close(net.peer);
	machine_fini(&net.m);
}

/* ---- steps ---- */

static void peer(uint8_t how, struct fuzz_input *input)
{
	static uint8_t bytes[4 + FRAMED_MAX];
	uint32_t size = how >> 2 & 15;

	if (how & 2) {
		while (read(net.peer, bytes, sizeof(bytes)) > 0)
			machine_run(&net.m);
		return;
	}
	if (how & 1) {
		uint32_t length = htonl(take16(input));

		memcpy(bytes, &length, 4);
		size = 4 + ntohl(length);
	} else {
		for (uint32_t i = 0; i < size; i++)
			bytes[i] = take8(input);
	}
	(void)!send(net.peer, bytes, size, MSG_NOSIGNAL);
	machine_run(&net.m);
}

static void restart(struct fuzz_input *input)
{
	uint8_t chosen = take8(input);
	uint64_t features = 0;

	if (chosen & 1)
		features |= VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF);
	if (chosen & 2)
		features |= VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC);
	if (chosen & 4)
		features |= VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX);
	if (chosen & 8)
		features |= net.framed.link.features;
	start(features, (uint16_t)(1 << take8(input) % 9));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	set_up();
	start(VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF), 16);
	while (input.size) {
		uint8_t how = take8(&input);

		switch (how >> 6) {
		case 0: machine_describe(&net.m, how & 1, 0, how & 2 ? 64 : 1, &input); break;
		case 1: machine_offer(&net.m, how & 1, take8(&input), (how >> 2 & 7) + 1u); break;
		case 2: peer(how, &input); break;
		default: restart(&input); break;
		}
		machine_check(&net.m);
	}
	tear_down();
	return 0;
}
