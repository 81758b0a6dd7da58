// SPDX-License-Identifier: MIT
/* fuzz_vconsole.c - virtio-console between a driver that keeps no rule and who is at its other end
 *
 * Bit 0 of the first byte: a port, else a console; bits 2:1: at a socket (0, 1), a file, nothing.
 * Then there is a row of steps.  The upper two bits of the first byte say what it is:
 *
 * - 0: a descriptor, as machine_describe() has it; bits 1:0 which queue, bit 2: times 64
 * - 1: a chain is offered, as many times as bits 4:2 say and once more; bits 1:0 the queue; its
 *   head
 * - 2: the host: see host()
 * - 3: bit 0: a control message, its port, event, value; else bit 1: a queue is reset (bits 3:2);
 *   else the driver starts anew: features (1 byte), the rings' size
 *
 * What is to be read lies below, as SAID has it, and stays; what may be written lies above 4 GiB.
 */

#include "class_machine.h"
#include "dev/vconsole.h"

#include <fcntl.h>
#include <linux/sockios.h>
#include <linux/virtio_console.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum { RX, TX, CONTROL_RX, CONTROL_TX };

#define MESSAGE_AT 0x6000
#define SAID       0x8000
#define MOST       (1u << 20) /* bytes one way, of one input */
#define FOREVER    1000000u   /* ms */
#define NAME       "port.0"

/* Bytes in their order, and how far they have arrived.  Once some may be lost (`gaps`), what
 * arrives is still some of them, in this order.
 */
struct way {
	uint8_t byte[MOST];
	size_t n, at;
	bool gaps;
};

static struct {
	struct class_machine m;
	struct consoles consoles;
	struct way out, in;
	bool is_port, is_socket, is_file;
	bool is_partial; /* the chain to send has been begun */
	int client;      /* -1: none */
	char path[64];

	/* What the guest has said, and what may be told for it. */
	bool open, known, may_add;
} v;

/* ---- what goes its way ---- */

static void add(struct way *way, uint8_t byte)
{
	if (way->n < MOST)
		way->byte[way->n++] = byte;
	else
		way->gaps = true;
}

static void arrived(struct way *way, const uint8_t *data, size_t size)
{
	if (way->n == MOST)
		return;
	for (size_t i = 0; i < size; i++) {
		while (way->gaps && way->at < way->n && way->byte[way->at] != data[i])
			way->at++;
		BUG_ON(way->at == way->n || way->byte[way->at++] != data[i]);
	}
}

/* ---- the device's queues, looked at ---- */

static void check_input(const struct virtq *vq, const struct virtq_chain *chain)
{
	uint8_t data[4096];
	size_t n = machine_given(vq, chain, data, sizeof(data));

	BUG_ON(v.is_port && virtio_has_feature(v.m.dev, VIRTIO_CONSOLE_F_MULTIPORT) && !v.open);
	v.in.gaps |= !n;
	arrived(&v.in, data, n);
}

static void check_told(const struct virtq *vq, const struct virtq_chain *chain)
{
	struct virtio_console_control message = { 0 };
	uint8_t data[4096];
	size_t n = machine_given(vq, chain, data, sizeof(data));

	if (!n)
		return;
	BUG_ON(n < sizeof(message));
	memcpy(&message, data, sizeof(message));
	BUG_ON(message.id || message.value > 1);
	switch (message.event) {
	case VIRTIO_CONSOLE_PORT_ADD: BUG_ON(!v.may_add || n != sizeof(message)); break;
	case VIRTIO_CONSOLE_PORT_OPEN: BUG_ON(!v.known || n != sizeof(message)); break;
	case VIRTIO_CONSOLE_PORT_NAME:
		BUG_ON(!v.known || n != sizeof(message) + strlen(NAME));
		BUG_ON(memcmp(data + sizeof(message), NAME, strlen(NAME)) != 0);
		break;
	default: BUG_ON(true);
	}
}

static void note_control(const struct virtq_chain *chain)
{
	struct virtio_console_control message;

	if (iov_read(chain->iov, chain->n_out, &message, sizeof(message)) < sizeof(message))
		return;
	if (message.event == VIRTIO_CONSOLE_DEVICE_READY && message.value)
		v.may_add = true;
	if (message.event == VIRTIO_CONSOLE_PORT_READY && !message.id && message.value)
		v.known = true;
	if (message.event == VIRTIO_CONSOLE_PORT_OPEN && !message.id)
		v.open = message.value;
}

static void note_output(const struct virtq_chain *chain)
{
	for (unsigned int i = 0; i < chain->n_out && !v.is_partial; i++)
		for (size_t k = 0; k < chain->iov[i].iov_len && v.out.n < MOST; k++)
			add(&v.out, ((const uint8_t *)chain->iov[i].iov_base)[k]);
}

static int serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	const struct virtio_class *class = v.is_port ? &port_class : &hvc_class;
	uint16_t used = vq->next_used;
	int ret;

	BUG_ON(!machine_runs(&v.m));
	if (vq == virtio_queue(dev, TX))
		note_output(chain);
	else if (vq == virtio_queue(dev, CONTROL_TX))
		note_control(chain);
	ret = class->serve(dev, vq, chain);
	BUG_ON((uint16_t)(vq->next_used - used) != !ret);
	if (vq == virtio_queue(dev, TX))
		v.is_partial = ret == -EAGAIN;
	else if (vq == virtio_queue(dev, RX) && !ret)
		check_input(vq, chain);
	else if (vq == virtio_queue(dev, CONTROL_RX) && !ret)
		check_told(vq, chain);
	return ret;
}

/* ---- the machine ---- */

static struct console *console(void)
{
	return v.consoles.line[0].console;
}

static void escape(void *)
{
	BUG_ON(true);
}

static void forget(void)
{
	v.open = v.known = v.may_add = v.is_partial = false;
	v.in.gaps = v.out.gaps = true;
}

static void start(uint8_t chosen, uint16_t size)
{
	machine_start(&v.m,
		VIRTIO_BIT(VIRTIO_CONSOLE_F_SIZE) | VIRTIO_BIT(VIRTIO_CONSOLE_F_EMERG_WRITE) |
			(chosen & 1 ? 0 : VIRTIO_BIT(VIRTIO_CONSOLE_F_MULTIPORT)) |
			(chosen & 2 ? VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) : 0) |
			(chosen & 4 ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
		size);
	machine_run(&v.m);
}

static void set_up(uint8_t what)
{
	static char name[] = NAME;
	struct vconsole_options options = { .path = v.path, .name = what & 1 ? name : NULL };
	const struct virtio_class *class = what & 1 ? &port_class : &hvc_class;
	static uint8_t said[KIB(64)];
	struct diag diag;

	for (unsigned int i = 0; !said[1] && i < sizeof(said); i++)
		said[sizeof(said) - 1 - i] = (uint8_t)(i * 11 + i / 256);
	signal(SIGPIPE, SIG_IGN);
	make_machine_dir();
	snprintf(v.path, sizeof(v.path), "%s/end", machine_dir);
	machine_init(&v.m);
	v.m.env.consoles = &v.consoles;
	v.consoles = (struct consoles){ .escape_key = INPUT_NO_KEY, .escape = escape };
	v.out.n = v.out.at = v.in.n = v.in.at = 0;
	v.out.gaps = v.in.gaps = v.open = v.known = v.may_add = v.is_partial = false;
	v.client = -1;
	v.is_port = what & 1;
	v.is_socket = !(what & 4);
	v.is_file = (what & 6) == 4;
	options.to = v.is_socket ? CONSOLE_SOCKET : v.is_file ? CONSOLE_FILE : CONSOLE_NULL;
	memcpy(rig_at(&v.m.mem, SAID, sizeof(said)), said, sizeof(said));
	machine_plug(&v.m, class->open(&options, &v.m.env, &diag), serve);
	BUG_ON(consoles_open(&v.consoles, &v.m.loop, &diag));
	console()->out.stall_ms = FOREVER;
	start(0, 16);
}

/* A file has got all that was not dropped on the way to it. */
static void check_file(void)
{
	static uint8_t data[MOST];
	int fd = open(v.path, O_RDONLY | O_CLOEXEC);
	ssize_t n = read(fd, data, MOST);

	BUG_ON(n < 0);
	arrived(&v.out, data, (size_t)n);
	BUG_ON(!v.out.gaps && v.out.at != v.out.n);
	close(fd);
	unlink(v.path);
}

static void tear_down(void)
{
	if (v.client >= 0)
		close(v.client);
	console()->out.stall_ms = console()->out.finish_ms = 0;
	consoles_detach(&v.consoles, -1);
	virtio_close(v.m.dev);
	consoles_destroy(&v.consoles, -1);
	if (v.is_file)
		check_file();
	machine_fini(&v.m);
}

/* ---- who is at the other end ---- */

static void come(void)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int small = 4096;

	if (v.client >= 0 || !v.is_socket)
		return;
	v.client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	memcpy(address.sun_path, v.path, sizeof(v.path));
	BUG_ON(connect(v.client, (const void *)&address, sizeof(address)));
	setsockopt(v.client, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
	v.in.gaps = v.out.gaps |= v.out.n || v.in.n;
}

static void leave(void)
{
	if (v.client >= 0)
		close(v.client);
	v.client = -1;
	v.in.gaps = v.out.gaps = true;
}

static void send_some(size_t size)
{
	uint8_t data[8192] = { 0 };
	ssize_t n;

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)((v.in.n + i) * 7 + (v.in.n + i) / 256);
	n = v.client < 0 ? 0 : send(v.client, data, size, MSG_NOSIGNAL);
	for (ssize_t i = 0; i < n; i++)
		add(&v.in, data[i]);
}

static size_t receive(size_t most)
{
	static uint8_t data[65536];
	ssize_t n = v.client < 0 ? 0 : recv(v.client, data, most, 0);

	v.out.gaps |= console()->out.n_dropped > 0;
	if (n > 0)
		arrived(&v.out, data, (size_t)n);
	return n > 0 ? (size_t)n : 0;
}

static bool is_left_alone(unsigned int queue)
{
	return !machine_runs(&v.m) || !virtq_is_pending(virtio_queue(v.m.dev, queue));
}

/* Who reads all, gets all, and the guest need not wait any longer; nor need he, with a guest that
 * has made room.
 */
static void take_all(void)
{
	int unread = 0;

	while (receive(65536) || (v.client >= 0 && console()->out.count))
		machine_run(&v.m);
	if (v.client < 0)
		return;
	BUG_ON(!is_left_alone(TX));
	BUG_ON(ioctl(v.client, SIOCOUTQ, &unread));
	BUG_ON(unread && v.is_port && v.open && !is_left_alone(RX));
}

/* A console says a byte so, with queues or without. */
static void write_config(struct fuzz_input *input, unsigned int size)
{
	uint8_t offset = take8(input), byte = take8(input);

	if (offset == offsetof(struct virtio_console_config, emerg_wr) && !v.is_port)
		add(&v.out, byte);
	machine_lock(&v.m);
	virtio_write_config(v.m.dev, offset, size, byte);
	machine_unlock(&v.m);
}

static void host(struct fuzz_input *input, uint8_t what)
{
	uint16_t cols;

	switch (what & 7) {
	case 0: come(); break;
	case 1: send_some(take8(input) * 32u); break;
	case 2: receive(take8(input) * 64u); break;
	case 3: take_all(); break;
	case 4: leave(); break;
	case 5:
		if (v.client >= 0)
			shutdown(v.client, SHUT_WR);
		break;
	case 6:
		cols = take16(input);
		machine_lock(&v.m);
		v.consoles.line[0].ops->resized(v.consoles.line[0].ctx, cols, take16(input));
		machine_unlock(&v.m);
		BUG_ON(virtio_read_config(v.m.dev, 0, 2) != cols);
		break;
	default: write_config(input, 1u << (what >> 3 & 1));
	}
	machine_run(&v.m);
}

/* ---- steps ---- */

static unsigned int queue_of(uint8_t what)
{
	return (what & 3u) % v.m.dev->n_queues;
}

static void describe(struct fuzz_input *input, uint8_t what)
{
	unsigned int queue = queue_of(what);
	bool is_out = queue == TX || queue == CONTROL_TX;

	machine_describe(&v.m, queue, is_out ? SAID : RIG_HIGH, what & 4 ? 64 : 1, input);
}

static void control(struct fuzz_input *input)
{
	struct virtio_console_control message = { .id = take8(input) };

	message.event = take8(input);
	message.value = take8(input);
	if (!v.is_port)
		return;
	memcpy(rig_at(&v.m.mem, MESSAGE_AT, sizeof(message)), &message, sizeof(message));
	rig_offer_one(&v.m.ring[CONTROL_TX], 0, MESSAGE_AT, sizeof(message), 0);
	machine_kick(&v.m, CONTROL_TX);
}

static void others(struct fuzz_input *input, uint8_t what)
{
	unsigned int queue = queue_of((uint8_t)(what >> 2));

	if (what & 1) {
		control(input);
		return;
	}
	v.in.gaps = v.out.gaps = true;
	v.is_partial = false;
	if (!(what & 2)) {
		uint8_t chosen = take8(input);

		forget();
		start(chosen, (uint16_t)(1 << take8(input) % 6));
		return;
	}
	machine_reset_queue(&v.m, queue);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };

	set_up(take8(&input));
	while (input.size) {
		uint8_t what = take8(&input);

		switch (what >> 6) {
		case 0: describe(&input, what); break;
		case 1:
			machine_offer(&v.m, queue_of(what), take8(&input), (what >> 2 & 7) + 1u);
			break;
		case 2: host(&input, what); break;
		default: others(&input, what); break;
		}
		machine_check(&v.m);
	}
	tear_down();
	return 0;
}
