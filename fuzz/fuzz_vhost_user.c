// SPDX-License-Identifier: MIT
/* fuzz_vhost_user.c - a share or a disk whose back end keeps no rule, and a driver that keeps none
 *
 * Bit 0 of the first byte: a disk, else a share.  Whenever the front end waits for an answer, the
 * input says which: see answer().  At its end all answers are right.  Between, there is a row of
 * steps.  The upper two bits of the first byte say what it is:
 *
 * - 0: a descriptor, as machine_describe() has it; bits 1:0 which queue, bit 2: times 64
 * - 1: a chain is offered, as many times as bits 4:2 say and once more; bits 1:0 the queue; its
 *   head
 * - 2: bits 1:0: the driver starts anew (features, the rings' size); a queue is reset (bits 3:2);
 *   the configuration space is written (offset, value)
 * - 3: the back end by itself: see act()
 */

#include "../tests/unit/vhost_wire.h"
#include "class_machine.h"
#include "dev/blk.h"
#include "dev/fs.h"
#include "host/remote.h"

#include <linux/vhost_types.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/un.h>

#define REPLY_ACK 3
#define MAX_FDS   8

union body {
	uint64_t u64;
	struct vhost_vring_state state;
	struct vhost_vring_addr addr;
	struct {
		uint32_t n, padding;
		struct {
			uint64_t gpa, size, hva, offset;
		} region[2];
	} memory;
	uint32_t config[3]; /* offset, size, flags; then the data */
	uint8_t bytes[280];
};

static struct {
	struct class_machine m;
	struct fuzz_input *input;
	int listener, peer; /* -1: none */
	int bell;           /* the last eventfd that it was given for the guest; -1 */
	uint64_t protocol;  /* features of it, that the front end has taken */
	bool has_features, has_memory, is_lost;

	/* What is to be answered. */
	struct v_header asked;
	union body body;
	char path[64];
} v;

/* ---- what it is told ---- */

static unsigned int n_fds_of(uint32_t request)
{
	if (request == V_SET_MEM_TABLE)
		return 2;
	return request == V_SET_VRING_KICK || request == V_SET_VRING_CALL;
}

static void check_memory(const union body *body)
{
	BUG_ON(body->memory.n != 2);
	for (unsigned int i = 0; i < 2; i++) {
		const struct mem_region *region = &v.m.mem.region[i];

		BUG_ON(body->memory.region[i].gpa != region->gpa ||
			body->memory.region[i].size != region->size ||
			body->memory.region[i].hva != (uintptr_t)region->hva);
	}
	v.has_memory = true;
}

static void check_ring(const struct v_header *header, const union body *body)
{
	unsigned int index = header->request == V_SET_VRING_ADDR ? body->addr.index
	                                                         : body->state.index;
	const struct virtq *vq = virtio_queue(v.m.dev, index);

	BUG_ON(!v.has_features || !v.has_memory || !vq);
	if (v.m.dev->lost)
		return; /* it was said before that, and the queue may be another by now */
	if (header->request == V_SET_VRING_NUM)
		BUG_ON(body->state.num != vq->size || !is_power_of_2(vq->size));
	if (header->request == V_SET_VRING_ADDR)
		BUG_ON(body->addr.desc_user_addr != (uintptr_t)vq->desc ||
			body->addr.avail_user_addr != (uintptr_t)vq->avail ||
			body->addr.used_user_addr != (uintptr_t)vq->used ||
			!rig_is_ram(&v.m.mem, vq->desc, 16ull * vq->size));
}

static void check_request(const struct v_header *header, const union body *body)
{
	const struct remote *remote = (struct remote *)v.m.dev;

	BUG_ON((header->flags & ~V_NEED_REPLY) != 1 || v.is_lost);
	BUG_ON(header->flags & V_NEED_REPLY && !(v.protocol & 1u << REPLY_ACK));
	switch (header->request) {
	case V_GET_FEATURES:
	case V_GET_PROTOCOL_FEATURES:
	case V_GET_QUEUE_NUM:
	case V_SET_OWNER: BUG_ON(header->size); break;
	case V_SET_PROTOCOL_FEATURES: v.protocol = body->u64; break;
	case V_SET_FEATURES:
		BUG_ON(header->size != 8 || body->u64 & ~remote->vhost->features);
		/* What was said before it was lost may be another driver's. */
		BUG_ON(!v.m.dev->lost && (body->u64 & ~V_GATED) != v.m.dev->features);
		v.has_features = true;
		break;
	case V_SET_MEM_TABLE: check_memory(body); break;
	case V_SET_VRING_NUM:
	case V_SET_VRING_ADDR:
	case V_SET_VRING_BASE:
	case V_GET_VRING_BASE:
	case V_SET_VRING_KICK:
	case V_SET_VRING_CALL:
	case V_SET_VRING_ENABLE: check_ring(header, body); break;
	case V_GET_CONFIG:
	case V_SET_CONFIG: BUG_ON(header->size != 12 + body->config[1]); break;
	default: BUG_ON(true);
	}
}

static void take_fds(const struct v_header *header, struct msghdr *msg)
{
	const struct cmsghdr *rights = CMSG_FIRSTHDR(msg);
	unsigned int n = rights ? (unsigned int)((rights->cmsg_len - CMSG_LEN(0)) / sizeof(int))
	                        : 0;
	int fd[MAX_FDS];

	BUG_ON(n != n_fds_of(header->request));
	if (!n)
		return;
	memcpy(fd, CMSG_DATA(rights), n * sizeof(int));
	for (unsigned int i = 0; i < n; i++) {
		if (header->request == V_SET_VRING_CALL) {
			if (v.bell >= 0)
				close(v.bell);
			v.bell = fd[i];
		} else {
			close(fd[i]);
		}
	}
}

static bool receive_one(void)
{
	char room[CMSG_SPACE(MAX_FDS * sizeof(int))] __attribute__((aligned(8)));
	struct v_header header;
	struct iovec iov = { &header, sizeof(header) };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	union body body = { 0 };

	if (v.peer < 0 || recvmsg(v.peer, &msg, MSG_DONTWAIT) != (ssize_t)sizeof(header))
		return false;
	BUG_ON(header.size > sizeof(body));
	BUG_ON(header.size &&
		recv(v.peer, &body, header.size, MSG_DONTWAIT) != (ssize_t)header.size);
	take_fds(&header, &msg);
	check_request(&header, &body);
	v.asked = header;
	v.body = body;
	return true;
}

/* ---- what it answers ---- */

static void say(const void *data, size_t size)
{
	if (v.peer >= 0)
		(void)!send(v.peer, data, size, MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void leave(void)
{
	if (v.peer >= 0)
		close(v.peer);
	v.peer = -1;
}

static void say_bytes(unsigned int n)
{
	uint8_t bytes[64];

	for (unsigned int i = 0; i < n; i++)
		bytes[i] = take8(v.input);
	say(bytes, n);
}

/* What is right, in v.body; its size. */
static uint32_t right_answer(void)
{
	switch (v.asked.request) {
	case V_GET_FEATURES: v.body.u64 = UINT64_MAX; return 8;
	case V_GET_PROTOCOL_FEATURES: v.body.u64 = UINT64_MAX; return 8;
	case V_GET_QUEUE_NUM: v.body.u64 = 2; return 8;
	case V_GET_VRING_BASE: return 8;
	case V_GET_CONFIG: return v.asked.size;
	default: v.body.u64 = 0; return 8;
	}
}

static void send_rights(const void *data, size_t size)
{
	char room[CMSG_SPACE(sizeof(int))] __attribute__((aligned(8))) = { 0 };
	struct iovec iov = { (void *)data, size };
	struct msghdr msg = {
		.msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room),
	};
	struct cmsghdr *rights = (struct cmsghdr *)room;

	*rights = (struct cmsghdr){ CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(rights), &v.listener, sizeof(int));
	(void)!sendmsg(v.peer, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);
}

/* False: nothing comes, and the front end is tired of waiting. */
static bool answer(void)
{
	uint8_t how = v.input && v.input->size ? take8(v.input) : 0, at;
	struct {
		struct v_header header;
		union body body;
	} reply = { .header = { v.asked.request, 1 | V_REPLY, right_answer() } };
	size_t size = sizeof(reply.header) + reply.header.size;

	switch (how >> 3 & 7) {
	case 1: /* another value */ v.body.u64 = take(v.input, 8); break;
	case 2: /* another value in a place of the header, or of the answer */
		at = take8(v.input);
		reply.body = v.body;
		((uint8_t *)&reply)[at % size] ^= take8(v.input) | 1;
		v.body = reply.body;
		break;
	case 3: size = how & 7; break;
	case 4: say_bytes(how & 7 ? (how & 7u) * 8 : 0); return true;
	case 5: leave(); return true;
	case 6: return false;
	default: break;
	}
	reply.body = v.body;
	if (how >> 6 == 1 && v.peer >= 0)
		send_rights(&reply, size);
	else
		say(&reply, size);
	if (how >> 6 == 2)
		say(&reply, size);
	return true;
}

/* In place of the system's: who waits for the back end has it act. */
int poll(struct pollfd *where, nfds_t n, int ms)
{
	/* glibc's headers have it that nothing is read there. */
	struct pollfd *volatile fds = where;
	struct timespec wait = { ms / 1000, ms % 1000 * 1000000l };

	if (n != 1 || fds->fd <= STDERR_FILENO || v.listener < 0)
		return ppoll(fds, n, ms < 0 ? NULL : &wait, NULL);
	if (v.peer < 0)
		v.peer = accept4(v.listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	while (receive_one())
		continue;
	fds->revents = fds->events;
	return fds->events & POLLIN ? answer() : 1;
}

/* ---- the machine ---- */

static void start(uint8_t chosen, uint16_t size)
{
	machine_start(&v.m,
		(chosen & 1 ? UINT64_MAX : 0) &
			~(chosen & 2 ? VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX) : 0),
		size);
	machine_run(&v.m);
}

static void listen_there(void)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };

	memcpy(addr.sun_path, v.path, sizeof(v.path));
	v.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	BUG_ON(bind(v.listener, (const struct sockaddr *)&addr, sizeof(addr)));
	BUG_ON(listen(v.listener, 1));
}

static struct virtio_dev *open_device(bool is_disk, struct diag *diag)
{
	static char tag[] = "tag";
	const struct blk_options disk = { .vhost_user = v.path, .n_queues = 2 };
	const struct fs_options share = { .vhost_user = v.path, .tag = tag };

	return is_disk ? blk_class.open(&disk, &v.m.env, diag)
	               : fs_class.open(&share, &v.m.env, diag);
}

/* Whether there is a device: it may be refused, for a reason. */
static bool set_up(uint8_t what)
{
	struct virtio_dev *dev;
	struct diag diag = { .text = "" };

	make_machine_dir();
	snprintf(v.path, sizeof(v.path), "%s/s", machine_dir);
	machine_init(&v.m);
	v.m.mem.is_shared = true;
	v.m.mem.fd = STDERR_FILENO; /* who maps it? */
	v.peer = v.bell = -1;
	v.has_features = v.has_memory = v.is_lost = false;
	v.protocol = 0;
	listen_there();
	dev = open_device(what & 1, &diag);
	if (!dev) {
		BUG_ON(!*diag.text);
		return false;
	}
	machine_plug(&v.m, dev, NULL);
	start(1, 32);
	return true;
}

static void tear_down(bool is_open)
{
	if (is_open)
		virtio_close(v.m.dev);
	leave();
	if (v.bell >= 0)
		close(v.bell);
	close(v.listener);
	v.listener = -1;
	unlink(v.path);
	machine_fini(&v.m);
}

/* ---- steps ---- */

/* Bits 2:0: it rings, says bytes (bits 5:3, of 8), leaves, or writes to memory, where all of it is
 * its own.
 */
static void act(uint8_t what)
{
	gpa_t at;

	switch (what & 7) {
	case 0:
		if (v.bell >= 0)
			loop_counter_add(v.bell);
		break;
	case 1: say_bytes((what >> 3 & 7u) * 8); break;
	case 2: leave(); break;
	default:
		at = take16(v.input);
		for (unsigned int i = 0; i < (what >> 3 & 7u); i++)
			*(uint8_t *)rig_at(&v.m.mem, at + i, 1) = take8(v.input);
	}
	machine_run(&v.m);
}

static unsigned int queue_of(uint8_t what)
{
	return (what & 3u) % v.m.dev->n_queues;
}

/* The machine is paused, and resumed; it may be reset meanwhile. */
static void pause_machine(uint8_t how)
{
	virtio_quiesce(v.m.dev);
	if (how & 1)
		machine_run(&v.m);
	if (how & 2) {
		machine_lock(&v.m);
		virtio_reset(v.m.dev);
		machine_unlock(&v.m);
	}
	virtio_resume(v.m.dev);
}

static void others(uint8_t what)
{
	uint8_t first = take8(v.input);

	switch (what & 3) {
	case 0: start(first, (uint16_t)(1 << take8(v.input) % 9)); break;
	case 1: machine_reset_queue(&v.m, queue_of((uint8_t)(what >> 2))); break;
	case 2: pause_machine(first); break;
	default:
		machine_lock(&v.m);
		virtio_write_config(v.m.dev, first, 1, take8(v.input));
		machine_unlock(&v.m);
	}
	machine_run(&v.m);
}

static void check(void)
{
	const struct remote *remote = (struct remote *)v.m.dev;

	while (receive_one())
		continue;
	machine_check(&v.m);
	BUG_ON(v.m.dev->lost != (remote->vhost->fd < 0));
	BUG_ON(v.is_lost && !v.m.dev->lost);
	/* What is lost never runs, and tells its driver. */
	BUG_ON(v.is_lost && v.m.dev->status & VIRTIO_CONFIG_S_DRIVER_OK &&
		!(v.m.dev->status & VIRTIO_CONFIG_S_NEEDS_RESET));
	v.is_lost = v.m.dev->lost;
}

static void step(void)
{
	uint8_t what = take8(v.input);

	switch (what >> 6) {
	case 0: machine_describe(&v.m, queue_of(what), 0, what & 4 ? 64 : 1, v.input); break;
	case 1: machine_offer(&v.m, queue_of(what), take8(v.input), (what >> 2 & 7) + 1u); break;
	case 2: others(what); break;
	default: act(what); break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_input input = { data, size };
	bool is_open;

	v.input = &input;
	is_open = set_up(take8(&input));
	while (is_open && input.size) {
		step();
		check();
	}
	tear_down(is_open);
	return 0;
}
