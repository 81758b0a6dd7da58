// SPDX-License-Identifier: MIT
/* fuzz_vsock.c - virtio-vsock between a driver that keeps no rule and programs that keep none
 *
 * The input is a row of steps.  The upper two bits of the first byte say what it is:
 *
 * - 0: a descriptor, as machine_describe() has it; bits 1:0 which queue, bit 2: times 64
 * - 1: a chain is offered, as many times as bits 4:2 say and once more; bits 1:0 the queue; its
 *   head
 * - 2: a packet of the guest, whole: see packet()
 * - 3: the host, and others: see host()
 *
 * What is to be read lies below, what may be written above 4 GiB.  The k-th byte of a stream is
 * from_guest(k) or from_host(k), whosever it is.
 */

#include "class_machine.h"
#include "dev/vsock_parts.h"

#include <linux/vm_sockets.h>
#include <stdio.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

enum { RX, TX };

#define CID       42u
#define HEADER    sizeof(struct virtio_vsock_hdr)
#define HEADER_AT 0x6000
#define DATA_AT   0x8000
#define ROOM      0x20000 /* for data, either way */
#define N_CLIENTS 4u
#define N_HEARING 2u /* ports of the host that somebody listens at, from 1 on */

/* A program of the host. */
struct client {
	int fd;          /* -1: none */
	bool has_called; /* at the device's socket, and then: */
	bool is_through; /* it has said where to */
	bool is_told;    /* and has read all of the answer */
	uint32_t n_sent, n_read;
};

static struct {
	struct class_machine m;
	struct vsock *vsock;
	int timer;
	int listener[N_HEARING];
	struct client client[N_CLIENTS];
	unsigned int n_packets;
	bool muddled; /* a packet waits, whose data may not be what they are to be */
	char path[64];
} v;

/* The timer, which here is due when the input says so. */
int timerfd_create(int, int)
{
	v.timer = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return v.timer;
}

int timerfd_settime(int, int, const struct itimerspec *, struct itimerspec *)
{
	return 0;
}

/* None is a line's. */
static uint8_t from_host(uint32_t k)
{
	return (uint8_t)(0x80 | (k * 7 + k / 128));
}

static uint8_t from_guest(uint32_t k)
{
	return (uint8_t)(0x80 | (k * 11 + k / 128));
}

/* ---- the device's queues, looked at ---- */

static void check_data(const struct conn *conn, const uint8_t *data, uint32_t size)
{
	uint32_t first = conn->n_to_guest - size;

	BUG_ON(conn->state != CONN_OPEN);
	BUG_ON(first - conn->peer_forwarded + size > conn->peer_buffer);
	for (uint32_t i = 0; i < size; i++)
		BUG_ON(data[i] != from_host(first + i));
}

static void check_packet(const struct virtq *vq, const struct virtq_chain *chain)
{
	static uint8_t data[HEADER + CONN_BUFFER];
	size_t n = machine_given(vq, chain, data, sizeof(data));
	struct virtio_vsock_hdr hdr;
	const struct conn *conn;

	if (!n)
		return;
	BUG_ON(n < HEADER);
	memcpy(&hdr, data, HEADER);
	BUG_ON(hdr.src_cid != VMADDR_CID_HOST || hdr.dst_cid != CID || n != HEADER + hdr.len);
	BUG_ON(hdr.type != VIRTIO_VSOCK_TYPE_STREAM);
	BUG_ON(!hdr.op || hdr.op > VIRTIO_VSOCK_OP_CREDIT_REQUEST);
	BUG_ON((hdr.op == VIRTIO_VSOCK_OP_RW) != !!hdr.len);
	BUG_ON(hdr.op != VIRTIO_VSOCK_OP_RST && hdr.buf_alloc != CONN_BUFFER);
	conn = vsock_find(v.vsock, hdr.src_port, hdr.dst_port);
	BUG_ON(!conn && hdr.op != VIRTIO_VSOCK_OP_RST);
	if (hdr.len)
		check_data(conn, data + HEADER, hdr.len);
}

static int serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	unsigned int n_strays = v.vsock->n_strays;
	uint16_t used = vq->next_used;
	int ret = vsock_class.serve(dev, vq, chain);

	BUG_ON((uint16_t)(vq->next_used - used) != !ret);
	if (vq == virtio_queue(dev, RX)) {
		if (!ret)
			check_packet(vq, chain);
		else
			BUG_ON((ret == -EBADMSG) != (chain->in_size <= HEADER));
		BUG_ON(ret == -EAGAIN && (v.vsock->first_ready || v.vsock->n_strays));
	} else if (vq == virtio_queue(dev, TX)) {
		BUG_ON((ret == -EAGAIN) != (n_strays == MAX_STRAYS));
		v.muddled |= ret == -EAGAIN;
	} else {
		BUG_ON(ret != -EAGAIN);
	}
	return ret;
}

/* ---- what holds after every step ---- */

static void check_conn(const struct conn *conn)
{
	bool has_socket = conn->state != CONN_DEAD;

	if (conn->state == CONN_FREE)
		return;
	BUG_ON(has_socket != (conn->source.fd >= 0));
	BUG_ON(conn->state != CONN_LINE &&
		vsock_find(v.vsock, conn->host_port, conn->guest_port) != conn);
	BUG_ON(conn->head >= CONN_BUFFER || conn->n_buffered > CONN_BUFFER);
	BUG_ON(has_socket && conn->n_from_guest - conn->n_forwarded != conn->n_buffered);
	/* What it has to tell, it comes to tell. */
	BUG_ON(conn_has_news(conn) && !conn->is_ready);
	BUG_ON(conn->state == CONN_REQUESTED && !conn->deadline_ms);
	/* What waits for a program is passed on when that takes it. */
	BUG_ON(conn->state == CONN_OPEN && conn->n_buffered && !conn->awaits_room);
}

static void check_lists(void)
{
	const struct vsock *vsock = v.vsock;
	unsigned int n_ready = 0, n_in_buckets = 0, n_lines = 0, n_callers = 0;

	for (const struct conn *conn = vsock->first_ready; conn; conn = conn->next_ready) {
		BUG_ON(!conn->is_ready || n_ready++ > CONN_MAX);
		BUG_ON(!conn->next_ready && vsock->last_ready != conn);
	}
	for (unsigned int i = 0; i < N_BUCKETS; i++)
		for (const struct conn *conn = vsock->bucket[i]; conn; conn = conn->next_port)
			BUG_ON(conn->state == CONN_FREE || n_in_buckets++ > CONN_MAX);
	for (unsigned int i = 0; i < CONN_MAX; i++) {
		const struct conn *conn = &vsock->conn[i];

		check_conn(conn);
		n_ready -= conn->is_ready;
		n_lines += conn->state == CONN_LINE;
		n_in_buckets -= conn->state != CONN_FREE && conn->state != CONN_LINE;
	}
	BUG_ON(n_ready || n_in_buckets || vsock->n_strays > MAX_STRAYS);
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		n_callers += v.client[i].fd >= 0 && v.client[i].has_called;
	/* Who has left before it said where to is not waited for. */
	BUG_ON(n_lines > n_callers);
}

static void check(void)
{
	const struct virtq *rx = virtio_queue(v.m.dev, RX), *tx = virtio_queue(v.m.dev, TX);

	machine_check(&v.m);
	check_lists();
	if (!machine_runs(&v.m))
		return;
	BUG_ON(virtq_is_pending(rx) && (v.vsock->first_ready || v.vsock->n_strays));
	BUG_ON(virtq_is_pending(tx) && v.vsock->n_strays < MAX_STRAYS);
}

/* ---- the machine ---- */

static void start(uint8_t chosen, uint16_t size)
{
	machine_start(&v.m,
		(chosen & 1 ? VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
			(chosen & 2 ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
		size);
	v.muddled = false;
	machine_run(&v.m);
}

static struct sockaddr_un address(unsigned int port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	if (port)
		snprintf(addr.sun_path, sizeof(addr.sun_path), "%.60s_%u", v.path, port);
	else
		memcpy(addr.sun_path, v.path, sizeof(v.path));
	return addr;
}

static void listen_at(unsigned int port)
{
	struct sockaddr_un addr = address(port);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	BUG_ON(bind(fd, (const struct sockaddr *)&addr, sizeof(addr)) || listen(fd, 2));
	v.listener[port - 1] = fd;
}

static void set_up(void)
{
	struct vsock_options options = { .path = v.path, .cid = CID };
	struct diag diag;

	make_machine_dir();
	snprintf(v.path, sizeof(v.path), "%s/s", machine_dir);
	machine_init(&v.m);
	v.n_packets = 0;
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		v.client[i] = (struct client){ .fd = -1 };
	for (unsigned int i = 0; i < N_HEARING; i++)
		listen_at(i + 1);
	machine_plug(&v.m, vsock_class.open(&options, &v.m.env, &diag), serve);
	v.vsock = (struct vsock *)v.m.dev;
	start(0, 32);
}

static void tear_down(void)
{
	for (unsigned int i = 0; i < N_CLIENTS; i++)
		if (v.client[i].fd >= 0)
			close(v.client[i].fd);
	virtio_close(v.m.dev);
	for (unsigned int i = 0; i < N_HEARING; i++) {
		struct sockaddr_un addr = address(i + 1);

		close(v.listener[i]);
		unlink(addr.sun_path);
	}
	machine_fini(&v.m);
}

/* ---- the guest ---- */

static uint32_t port_of(struct fuzz_input *input)
{
	uint8_t code = take8(input);

	if (code < 128)
		return code;
	if (code < 255)
		return (1u << 30) + code - 128; /* as the device gives them to who calls */
	return take32(input);
}

/* Bits 2:0 the operation (7: any, 2 bytes), bit 3 other CIDs, bit 4 another type; the ports of host
 * and guest; how many bytes (of 256), flags; what it has room for (of 4096), and what it has passed
 * on: all, or (not 0) anything.
 */
static struct virtio_vsock_hdr header(struct fuzz_input *input, uint8_t what)
{
	struct virtio_vsock_hdr hdr = { .src_cid = CID, .dst_cid = VMADDR_CID_HOST };
	const struct conn *conn;

	hdr.op = what & 7;
	if (hdr.op == 7)
		hdr.op = take16(input);
	if (what & 8) {
		hdr.src_cid = take8(input);
		hdr.dst_cid = take8(input);
	}
	hdr.type = what & 16 ? take8(input) : VIRTIO_VSOCK_TYPE_STREAM;
	hdr.dst_port = port_of(input);
	hdr.src_port = port_of(input);
	hdr.len = take8(input) * 256u;
	hdr.flags = take8(input);
	hdr.buf_alloc = take8(input) * 4096u;
	hdr.fwd_cnt = take8(input);
	conn = vsock_find(v.vsock, hdr.dst_port, hdr.src_port);
	if (hdr.fwd_cnt)
		hdr.fwd_cnt = take32(input);
	else if (conn)
		hdr.fwd_cnt = conn->n_to_guest;
	return hdr;
}

/* In two segments; the second is as long as it must be, or (bit 5) is missing. */
static void packet(struct fuzz_input *input, uint8_t what)
{
	struct virtio_vsock_hdr hdr = header(input, what);
	const struct conn *conn = vsock_find(v.vsock, hdr.dst_port, hdr.src_port);
	struct rig_ring *ring = &v.m.ring[TX];
	uint8_t *data = rig_at(&v.m.mem, DATA_AT, ROOM);
	unsigned int i = v.n_packets++ % (ring->size / 2u ? ring->size / 2u : 1);
	gpa_t at = HEADER_AT + 64u * i;

	for (uint32_t k = 0; k < hdr.len; k++)
		data[k] = from_guest((conn ? conn->n_from_guest : 0) + k);
	memcpy(rig_at(&v.m.mem, at, HEADER), &hdr, HEADER);
	*rig_desc(ring, 2 * i % ring->size) = (struct vring_desc){ at, HEADER,
		hdr.len && !(what & 32) ? VRING_DESC_F_NEXT : 0, (uint16_t)(2 * i + 1) };
	*rig_desc(ring, (2 * i + 1) % ring->size) = (struct vring_desc){ DATA_AT, hdr.len, 0, 0 };
	rig_offer(ring, (uint16_t)(2 * i % ring->size));
	machine_kick(&v.m, TX);
}

/* ---- the host ---- */

static const char *const lines[] = { "CONNECT 7\n", "CONNECT 7", "\n", "CONNECT 9\n", "CONNECT x\n",
	"CONNECT 4294967295\n", "CONNECT 7 \n", "connect 7\n", "CONNECT -1\n", "C",
	"CONNECT 00000000000000000000000000000000000007\n" };

static void call(struct client *client)
{
	struct sockaddr_un addr = address(0);

	if (client->fd >= 0)
		return;
	*client = (struct client){ .has_called = true };
	client->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	BUG_ON(connect(client->fd, (const struct sockaddr *)&addr, sizeof(addr)));
}

static void accept_one(struct client *client, int listener)
{
	if (client->fd >= 0)
		return;
	*client = (struct client){ .is_through = true, .is_told = true };
	client->fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

static void say_line(struct client *client, const char *line)
{
	if (client->fd < 0 || client->is_through)
		return;
	(void)!send(client->fd, line, strlen(line), MSG_NOSIGNAL);
	client->is_through = strchr(line, '\n');
}

static void send_data(struct client *client, uint32_t size)
{
	uint8_t data[256 * 64];
	ssize_t n;

	if (client->fd < 0 || !client->is_through)
		return;
	for (uint32_t i = 0; i < size; i++)
		data[i] = from_host(client->n_sent + i);
	n = send(client->fd, data, size, MSG_NOSIGNAL);
	client->n_sent += n > 0 ? (uint32_t)n : 0;
}

static void read_data(struct client *client, uint32_t size)
{
	uint8_t data[256 * 64];
	ssize_t n = client->fd < 0 ? 0 : recv(client->fd, data, size, 0), i = 0;

	for (; i < n && !client->is_told; i++) {
		BUG_ON(data[i] != '\n' && !strchr("OK 0123456789", data[i]));
		client->is_told = data[i] == '\n';
	}
	for (; i < n; i++)
		BUG_ON(data[i] != from_guest(client->n_read++) && !v.muddled);
}

/* The guest has had time enough, whoever waits for it. */
static void tick(void)
{
	for (unsigned int i = 0; i < CONN_MAX; i++)
		if (v.vsock->conn[i].deadline_ms)
			v.vsock->conn[i].deadline_ms = 1;
	loop_counter_add(v.timer);
}

/* Bits 2:0 what; bits 4:3 who; how much, or which. */
static void host(struct fuzz_input *input, uint8_t what)
{
	struct client *client = &v.client[what >> 3 & 3];
	uint8_t much = (what & 7) ? take8(input) : 0;

	switch (what & 7) {
	case 0: call(client); break;
	case 1: say_line(client, lines[much % ARRAY_SIZE(lines)]); break;
	case 2: send_data(client, much * 64u); break;
	case 3: read_data(client, much * 64u); break;
	case 4: accept_one(client, v.listener[much % N_HEARING]); break;
	case 5:
		if (client->fd >= 0 && much < 128)
			shutdown(client->fd, SHUT_WR);
		else if (client->fd >= 0)
			shutdown(client->fd, SHUT_RD);
		break;
	case 6:
		if (client->fd >= 0)
			close(client->fd);
		client->fd = -1;
		break;
	default:
		if (much < 128)
			tick();
		else if (much < 192)
			start(much, (uint16_t)(1u << much % 8));
		else
			machine_reset_queue(&v.m, much % 3u);
	}
	machine_run(&v.m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	set_up();
	while (input.size) {
		uint8_t what = take8(&input);
		unsigned int queue = (what & 3u) % N_QUEUES;

		switch (what >> 6) {
		case 0:
			machine_describe(&v.m, queue, queue == TX ? DATA_AT : RIG_HIGH,
				what & 4 ? 64 : 1, &input);
			break;
		case 1: machine_offer(&v.m, queue, take8(&input), (what >> 2 & 7) + 1u); break;
		case 2: packet(&input, what); break;
		default: host(&input, what); break;
		}
		check();
	}
	tear_down();
	return 0;
}
