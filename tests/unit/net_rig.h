/* SPDX-License-Identifier: MIT */
/* net_rig.h - a virtio-net, its driver's rings, and a link that is a socket, for test_net*.c */
#ifndef TESTS_UNIT_NET_RIG_H
#define TESTS_UNIT_NET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/net.h"
#include "host/framed.h"
#include "virtio_rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RX, TX };

#define SIZE   16
#define RX_AT  0x1000
#define TX_AT  0x2000
#define DATA   0x4000
#define CSUM   VIRTIO_BIT(VIRTIO_NET_F_GUEST_CSUM)
#define TSO    (CSUM | VIRTIO_BIT(VIRTIO_NET_F_GUEST_TSO4))
#define MRG    VIRTIO_BIT(VIRTIO_NET_F_MRG_RXBUF)
#define BASIC  VIRTIO_BIT(VIRTIO_F_VERSION_1)
#define NEXT   VRING_DESC_F_NEXT
#define WRITE  VRING_DESC_F_WRITE
#define HEADER LINK_HEADER

static const uint8_t mac[6] = { 2, 1, 2, 3, 4, 5 };

/* A link that is a socket of packets: as a tap cuts frames, with the header before them. */
struct packets {
	struct link link; /* first */
	uint64_t features;
	unsigned int n_set, n_ends, n_received;
};

struct rig {
	struct guest_mem mem;
	struct rig_ring ring[2];
	struct loop loop;
	struct virtio_env env;
	struct virtio_transport transport;
	unsigned int n_signals[5], n_config;
	struct virtio_dev *dev;
	struct packets *packets; /* NULL: the link is framed */
	struct framed *framed;
	int end; /* eventfd */
	int peer;
};

/* ---- links ---- */

static inline int packets_send(struct link *link, struct iovec *iov, unsigned int n)
{
	return writev(link->fd, iov, (int)n) < 0 ? -errno : 0;
}

static inline ssize_t packets_receive(
	struct link *link, struct iovec *iov, unsigned int n, size_t room, bool)
{
	struct packets *packets = (struct packets *)link;
	char excess;
	ssize_t size;

	iov[n] = (struct iovec){ &excess, 1 };
	size = readv(link->fd, iov, (int)n + 1);
	packets->n_received++;
	if (size <= 0)
		return size < 0 && errno == EAGAIN ? -EAGAIN : -EPIPE;
	return (size_t)size > room ? -EMSGSIZE : size;
}

static inline void packets_set_features(struct link *link, uint64_t features)
{
	struct packets *packets = (struct packets *)link;

	packets->features = features;
	packets->n_set++;
	link->room = HEADER + (features & TSO & ~CSUM ? LINK_MAX_FRAME : 1518);
}

static inline void packets_explain_end(struct link *link, struct diag *diag)
{
	((struct packets *)link)->n_ends++;
	diag_fail(diag, ENODEV, "it has ended");
}

/* The test looks at it once more. */
static inline void packets_close(struct link *link)
{
	close(link->fd);
	link->fd = -1;
}

static const struct link_ops packets_ops = {
	.send = packets_send,
	.receive = packets_receive,
	.set_features = packets_set_features,
	.explain_end = packets_explain_end,
	.close = packets_close,
};

static inline void framed_set_features(struct link *, uint64_t)
{
}

static inline void framed_explain_end(struct link *, struct diag *diag)
{
	diag_fail(diag, ENODEV, "it has ended");
}

static inline void framed_close(struct link *link)
{
	framed_fini((struct framed *)link);
}

static const struct link_ops framed_ops = {
	.send = framed_send,
	.flush = framed_flush,
	.receive = framed_receive,
	.set_features = framed_set_features,
	.explain_end = framed_explain_end,
	.close = framed_close,
};

static inline struct link *open_packets(struct rig *rig, int fd)
{
	rig->packets = calloc(1, sizeof(*rig->packets));
	rig->packets->link = (struct link){ .ops = &packets_ops,
		.fd = fd,
		.end_fd = -1,
		.features = TSO,
		.mtu = 1500,
		.room = HEADER + 1518 };
	return &rig->packets->link;
}

static inline struct link *open_framed(struct rig *rig, int fd)
{
	rig->framed = calloc(1, sizeof(*rig->framed));
	assert_int_equal(framed_init(rig->framed, &framed_ops, fd), 0);
	rig->end = eventfd(0, EFD_NONBLOCK);
	rig->framed->link.end_fd = rig->end;
	rig->framed->link.mtu = 65520;
	return &rig->framed->link;
}

/* ---- the machine ---- */

static inline void signal_queue(struct virtio_transport *transport, unsigned int index)
{
	struct rig *rig = (struct rig *)((char *)transport - offsetof(struct rig, transport));

	rig->n_signals[index]++;
}

static inline void signal_config(struct virtio_transport *transport)
{
	((struct rig *)((char *)transport - offsetof(struct rig, transport)))->n_config++;
}

static inline bool doorbell(const struct virtio_transport *, unsigned int, struct virtio_doorbell *)
{
	return false;
}

static inline int no_bind(void *, const struct virtio_doorbell *, int, bool)
{
	return -ENOTTY;
}

static inline void stop(void *ctx)
{
	loop_stop(ctx);
}

/* Until nothing has happened for a while. */
static inline void run_for(struct rig *rig, int ms)
{
	rig->loop.stopped = false;
	loop_when_quiet(&rig->loop, ms, stop, &rig->loop);
	assert_int_equal(loop_run(&rig->loop), 0);
}

static inline void run(struct rig *rig)
{
	run_for(rig, 5);
}

static inline void start_driver(struct rig *rig, uint64_t features)
{
	struct virtio_dev *dev = rig->dev;

	features |= BASIC;
	virtio_set_status(dev, 3);
	for (uint32_t word = 0; word < 2; word++)
		virtio_set_features_word(dev, word, (uint32_t)(features >> 32 * word));
	virtio_set_status(dev, 11);
	assert_int_equal(dev->status, 11);
	for (unsigned int i = 0; i < 2; i++) {
		rig_ring_init(&rig->ring[i], &rig->mem, i ? TX_AT : RX_AT, SIZE);
		rig_place(&rig->ring[i], virtio_queue(dev, i));
		virtio_enable_queue(dev, i);
	}
	virtio_set_status(dev, 15);
	assert_int_equal(dev->status, 15);
}

static inline void open_net(struct rig *rig, struct link *link, struct net_options options)
{
	struct diag diag;

	rig->dev = net_create(link, &options, mac, &rig->env, &diag);
	assert_non_null(rig->dev);
	rig->dev->transport = &rig->transport;
}

/* All but the device and its link. */
static inline void rig_init(struct rig *rig)
{
	rig_mem_init(&rig->mem);
	assert_int_equal(loop_init(&rig->loop), 0);
	rig->env = (struct virtio_env){ .mem = &rig->mem, .loop = &rig->loop, .bind = no_bind };
	rig->transport = (struct virtio_transport){
		.signal_queue = signal_queue, .signal_config = signal_config, .doorbell = doorbell
	};
	rig->end = -1;
}

static inline int set_up_any(void **state, bool is_framed)
{
	struct rig *rig = calloc(1, sizeof(*rig));
	int pair[2];

	rig_init(rig);
	assert_int_equal(
		socketpair(AF_UNIX, (is_framed ? SOCK_STREAM : SOCK_SEQPACKET) | SOCK_NONBLOCK, 0,
			pair),
		0);
	rig->peer = pair[1];
	open_net(rig, is_framed ? open_framed(rig, pair[0]) : open_packets(rig, pair[0]),
		(struct net_options){ 0 });
	*state = rig;
	return 0;
}

static inline int set_up(void **state)
{
	return set_up_any(state, false);
}

static inline int set_up_framed(void **state)
{
	return set_up_any(state, true);
}

static inline int tear_down(void **state)
{
	struct rig *rig = *state;

	virtio_close(rig->dev);
	if (rig->end >= 0)
		close(rig->end);
	close(rig->peer);
	loop_fini(&rig->loop);
	rig_mem_fini(&rig->mem);
	free(rig->packets);
	free(rig->framed);
	free(rig);
	return 0;
}

static inline void kick(struct rig *rig, unsigned int index)
{
	virtio_kick(rig->dev, index);
	run(rig);
}

static inline void *data_at(struct rig *rig, unsigned int offset)
{
	return rig_at(&rig->mem, DATA + offset, 1);
}

/* n buffers for frames, of `len` bytes each. */
static inline void offer_rx(struct rig *rig, uint16_t n, uint32_t len)
{
	for (uint16_t i = 0; i < n; i++)
		rig_offer_one(&rig->ring[RX], i, DATA + i * len, len, WRITE);
}

static inline void peer_sends(struct rig *rig, size_t size, uint8_t fill)
{
	uint8_t *frame = malloc(HEADER + size);

	memset(frame, 0xaa, HEADER); /* the tap leaves num_buffers as it was */
	memset(frame + HEADER, fill, size);
	assert_int_equal(write(rig->peer, frame, HEADER + size), HEADER + size);
	free(frame);
}

static inline void check_rx(struct rig *rig, uint16_t head, uint32_t len)
{
	struct vring_used_elem elem = rig_take(&rig->ring[RX]);

	assert_int_equal(elem.id, head);
	assert_int_equal(elem.len, len);
}

static inline uint16_t num_buffers(const void *header)
{
	return ((const struct virtio_net_hdr_v1 *)header)->num_buffers;
}

#define TEST(name)   cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define FRAMED(name) cmocka_unit_test_setup_teardown(name, set_up_framed, tear_down)

#endif
