// SPDX-License-Identifier: MIT
/* vsock_packet.c - what is said between a vsock device and its guest */

#include "dev/vsock_parts.h"

#include "util/iov.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

/* ---- events ---- */

int vsock_serve_event(bool *owes_reset, struct virtq *vq, const struct virtq_chain *chain)
{
	const struct virtio_vsock_event event = { .id = VIRTIO_VSOCK_EVENT_TRANSPORT_RESET };

	if (!*owes_reset)
		return -EAGAIN;
	if (chain->in_size < sizeof(event))
		return -EBADMSG;
	iov_write(chain->iov + chain->n_out, chain->n_in, &event, sizeof(event));
	virtq_push(vq, chain->head, sizeof(event));
	*owes_reset = false;
	return 0;
}

/* ---- packets from the guest ---- */

static void add_stray(struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	unsigned int at = (vsock->first_stray + vsock->n_strays) % MAX_STRAYS;

	BUG_ON(vsock->n_strays == MAX_STRAYS);
	vsock->stray[at] = (struct stray){ host_port, guest_port };
	vsock->n_strays++;
}

static void take_request(struct vsock *vsock, const struct virtio_vsock_hdr *hdr)
{
	struct conn *conn = vsock_connect(vsock, hdr->dst_port, hdr->src_port);

	if (!conn) {
		add_stray(vsock, hdr->dst_port, hdr->src_port);
		return;
	}
	conn->peer_buffer = hdr->buf_alloc;
	conn->peer_forwarded = hdr->fwd_cnt;
	conn_tell(conn, TELL_RESPONSE);
}

/* The guest's program has accepted. */
static void take_response(struct conn *conn)
{
	char line[32];
	int n = snprintf(line, sizeof(line), "OK %u\n", conn->host_port);

	if (conn->state != CONN_REQUESTED ||
		send(conn->source.fd, line, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) != n) {
		conn_reset(conn);
		return;
	}
	conn->state = CONN_OPEN;
	conn->deadline_ms = 0;
	conn->readable = true;
}

static void take_data(struct conn *conn, const struct virtq_chain *chain, uint32_t size)
{
	unsigned int n;

	if (conn->state != CONN_OPEN || conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND) {
		conn_reset(conn);
		return;
	}
	n = iov_slice(
		conn->vsock->data, chain->iov, chain->n_out, sizeof(struct virtio_vsock_hdr), size);
	if (!conn_take(conn, conn->vsock->data, n, size))
		conn_reset(conn);
	conn_await_room(conn);
}

static void take_packet(
	struct conn *conn, const struct virtio_vsock_hdr *hdr, const struct virtq_chain *chain)
{
	conn->peer_buffer = hdr->buf_alloc;
	conn->peer_forwarded = hdr->fwd_cnt;
	switch (hdr->op) {
	case VIRTIO_VSOCK_OP_RESPONSE: take_response(conn); break;
	case VIRTIO_VSOCK_OP_RW: take_data(conn, chain, hdr->len); break;
	case VIRTIO_VSOCK_OP_CREDIT_UPDATE: break;
	case VIRTIO_VSOCK_OP_CREDIT_REQUEST: conn_tell(conn, TELL_CREDIT); break;
	case VIRTIO_VSOCK_OP_SHUTDOWN:
		conn->guest_shut |= hdr->flags;
		conn_end_if_done(conn);
		break;
	case VIRTIO_VSOCK_OP_RST: conn_drop(conn); return;
	default: conn_reset(conn); break;
	}
	if (conn_has_news(conn))
		conn_make_ready(conn);
}

int vsock_serve_tx(struct vsock *vsock, struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_vsock_hdr hdr;
	struct conn *conn;

	if (vsock->n_strays == MAX_STRAYS) {
		vsock->tx_waits = true;
		return -EAGAIN;
	}
	if (iov_read(chain->iov, chain->n_out, &hdr, sizeof(hdr)) < sizeof(hdr) ||
		hdr.len > chain->out_size - sizeof(hdr))
		return -EBADMSG;
	virtq_push(vq, chain->head, 0);
	counter_add(&vsock->n_packets[QUEUE_TX], 1);
	counter_add(&vsock->n_bytes[QUEUE_TX], hdr.len);
	/* In nobody else's name, and to nobody else. */
	if (hdr.src_cid != vsock->config.guest_cid || hdr.dst_cid != VMADDR_CID_HOST)
		return 0;
	conn = vsock_find(vsock, hdr.dst_port, hdr.src_port);
	if (hdr.type != VIRTIO_VSOCK_TYPE_STREAM || (!conn && hdr.op != VIRTIO_VSOCK_OP_REQUEST)) {
		if (hdr.op != VIRTIO_VSOCK_OP_RST)
			add_stray(vsock, hdr.dst_port, hdr.src_port);
	} else if (conn) {
		take_packet(conn, &hdr, chain);
	} else {
		take_request(vsock, &hdr);
	}
	return 0;
}

/* ---- packets to the guest ---- */

/* What the host's program has sent, into the segments behind the header.  0: nothing, now. */
static uint32_t read_data(struct conn *conn, const struct virtq_chain *chain)
{
	struct vsock *vsock = conn->vsock;
	uint64_t room = chain->in_size - sizeof(struct virtio_vsock_hdr);
	struct msghdr msg = { .msg_iov = vsock->data };
	ssize_t n;

	if (room > conn_credit(conn))
		room = conn_credit(conn);
	if (room > CONN_BUFFER)
		room = CONN_BUFFER;
	msg.msg_iovlen = iov_slice(vsock->data, chain->iov + chain->n_out, chain->n_in,
		sizeof(struct virtio_vsock_hdr), room);
	n = recvmsg(conn->source.fd, &msg, MSG_DONTWAIT);
	if (n > 0) {
		conn->n_to_guest += (uint32_t)n;
		if (!conn_credit(conn))
			conn->tell |= TELL_CREDIT_REQUEST;
		return (uint32_t)n;
	}
	conn->readable = n < 0 && errno == EINTR;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	/* Nothing more comes; and if nobody is there to read either, the guest has to let go. */
	conn->host_shut |= VIRTIO_VSOCK_SHUTDOWN_SEND;
	if (conn->hung_up || n < 0)
		conn->host_shut |= VIRTIO_VSOCK_SHUTDOWN_RCV;
	conn->tell |= TELL_SHUTDOWN;
	return 0;
}

static uint16_t next_op(struct conn *conn, struct virtio_vsock_hdr *hdr)
{
	static const struct {
		unsigned int what;
		uint16_t op;
	} order[] = {
		{ TELL_RST, VIRTIO_VSOCK_OP_RST },
		{ TELL_REQUEST, VIRTIO_VSOCK_OP_REQUEST },
		{ TELL_RESPONSE, VIRTIO_VSOCK_OP_RESPONSE },
		{ TELL_SHUTDOWN, VIRTIO_VSOCK_OP_SHUTDOWN },
		{ TELL_CREDIT, VIRTIO_VSOCK_OP_CREDIT_UPDATE },
		{ TELL_CREDIT_REQUEST, VIRTIO_VSOCK_OP_CREDIT_REQUEST },
	};
	size_t i = 0;

	while (!(conn->tell & order[i].what))
		i++;
	conn->tell &= ~order[i].what;
	if (order[i].what == TELL_SHUTDOWN)
		hdr->flags = conn->host_shut;
	return order[i].op;
}

/* Something of this connection's; false: it has nothing after all. */
static bool fill_packet(
	struct conn *conn, struct virtio_vsock_hdr *hdr, const struct virtq_chain *chain)
{
	hdr->src_port = conn->host_port;
	hdr->dst_port = conn->guest_port;
	if (!conn->tell && conn_may_read(conn))
		hdr->len = read_data(conn, chain);
	if (hdr->len)
		hdr->op = VIRTIO_VSOCK_OP_RW;
	else if (conn->tell)
		hdr->op = next_op(conn, hdr);
	else
		return false;
	hdr->buf_alloc = CONN_BUFFER;
	hdr->fwd_cnt = conn->n_told = conn->n_forwarded;
	conn->tell &= ~TELL_CREDIT;
	if (hdr->op == VIRTIO_VSOCK_OP_RST)
		conn_drop(conn);
	else if (hdr->op == VIRTIO_VSOCK_OP_SHUTDOWN && conn->host_shut & VIRTIO_VSOCK_SHUTDOWN_RCV)
		conn_set_deadline(conn);
	if (conn_has_news(conn))
		conn_make_ready(conn);
	return true;
}

static bool next_packet(
	struct vsock *vsock, struct virtio_vsock_hdr *hdr, const struct virtq_chain *chain)
{
	struct conn *conn;

	if (vsock->n_strays) {
		const struct stray *stray = &vsock->stray[vsock->first_stray];

		hdr->src_port = stray->host_port;
		hdr->dst_port = stray->guest_port;
		hdr->op = VIRTIO_VSOCK_OP_RST;
		vsock->first_stray = (vsock->first_stray + 1) % MAX_STRAYS;
		vsock->n_strays--;
		return true;
	}
	while ((conn = vsock_take_ready(vsock)) != NULL)
		if (conn->state != CONN_FREE && fill_packet(conn, hdr, chain))
			return true;
	return false;
}

int vsock_serve_rx(struct vsock *vsock, struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_vsock_hdr hdr = {
		.src_cid = VMADDR_CID_HOST,
		.dst_cid = vsock->config.guest_cid,
		.type = VIRTIO_VSOCK_TYPE_STREAM,
	};

	if (chain->in_size <= sizeof(hdr))
		return -EBADMSG;
	if (!next_packet(vsock, &hdr, chain))
		return -EAGAIN;
	iov_write(chain->iov + chain->n_out, chain->n_in, &hdr, sizeof(hdr));
	virtq_push(vq, chain->head, (uint32_t)sizeof(hdr) + hdr.len);
	counter_add(&vsock->n_packets[QUEUE_RX], 1);
	counter_add(&vsock->n_bytes[QUEUE_RX], hdr.len);
	return 0;
}
