// SPDX-License-Identifier: MIT
/* vhost_user.c - the front end of vhost-user */

#include "host/vhost_user.h"

#include "util/error.h"
#include "util/iov.h"
#include "util/rights.h"
#include "util/timeline.h"

#include <errno.h>
#include <limits.h>
#include <linux/vhost_types.h>
#include <linux/virtio_config.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

#define F_PROTOCOL_FEATURES BIT(30) /* of virtio's features; never the guest's */
#define PROTOCOL                                                                \
	(BIT(VHOST_USER_PROTOCOL_F_MQ) | BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK) | \
		BIT(VHOST_USER_PROTOCOL_F_CONFIG))

enum {
	GET_FEATURES = 1,
	SET_FEATURES = 2,
	SET_OWNER = 3,
	SET_MEM_TABLE = 5,
	SET_VRING_NUM = 8,
	SET_VRING_ADDR = 9,
	SET_VRING_BASE = 10,
	GET_VRING_BASE = 11,
	SET_VRING_KICK = 12,
	SET_VRING_CALL = 13,
	GET_PROTOCOL_FEATURES = 15,
	SET_PROTOCOL_FEATURES = 16,
	GET_QUEUE_NUM = 17,
	SET_VRING_ENABLE = 18,
	GET_CONFIG = 24,
	SET_CONFIG = 25,
};

#define VERSION    1u
#define IS_REPLY   4u
#define NEED_REPLY 8u

struct header {
	uint32_t request, flags, size;
};

#define MAX_FDS 2 /* with one message: of the regions of memory */

struct memory {
	uint32_t n, padding;
	struct {
		uint64_t gpa, size, hva, offset;
	} region[MAX_FDS];
};

struct config {
	uint32_t offset, size, flags;
	uint8_t data[VHOST_USER_MAX_CONFIG];
};

/* What a message carries, and the descriptors with it. */
struct body {
	const void *data;
	uint32_t size;
	int fds[MAX_FDS];
	unsigned int n_fds;
};

/* ---- moving bytes, within a time ---- */

/* Past the deadline it is looked at once more: it may be we who could not run. */
static int wait_for(const struct vhost_user *vu, short events, uint64_t deadline)
{
	struct pollfd link = { .fd = vu->vhost.fd, .events = events };
	uint64_t now = timeline_now_ms();
	int n = poll(&link, 1, now < deadline ? (int)(deadline - now) : 0);

	if (n < 0 && errno != EINTR)
		return -errno;
	return n ? 0 : -ETIMEDOUT;
}

/* After `n` was returned by send or receive: 0 to go on, when it can be tried again. */
static int judge(const struct vhost_user *vu, ssize_t n, short events, uint64_t deadline)
{
	if (n > 0 || (n < 0 && errno == EINTR))
		return 0;
	if (n == 0 || errno == ECONNRESET)
		return -EPIPE;
	return errno == EAGAIN ? wait_for(vu, events, deadline) : -errno;
}

/* The descriptors go with the first byte. */
static int send_all(const struct vhost_user *vu, struct iovec iov[2], const struct body *body,
	uint64_t deadline)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = 2 };
	union rights rights;
	int ret = 0;

	rights_attach(&msg, &rights, body->fds, body->n_fds);
	while (!ret && msg.msg_iovlen) {
		ssize_t n = sendmsg(vu->vhost.fd, &msg, MSG_NOSIGNAL);

		ret = judge(vu, n, POLLOUT, deadline);
		if (n <= 0)
			continue;
		msg.msg_iovlen = iov_skip(&msg.msg_iov, (unsigned int)msg.msg_iovlen, (size_t)n);
		msg.msg_control = NULL;
		msg.msg_controllen = 0;
	}
	return ret;
}

static int receive_all(const struct vhost_user *vu, void *data, size_t size, uint64_t deadline)
{
	int ret = 0;

	for (size_t done = 0; done < size && !ret;) {
		ssize_t n = recv(vu->vhost.fd, (char *)data + done, size - done, 0);

		ret = judge(vu, n, POLLIN, deadline);
		done += n > 0 ? (size_t)n : 0;
	}
	return ret;
}

/* ---- messages ---- */

static int send_message(const struct vhost_user *vu, uint32_t request, uint32_t flags,
	const struct body *body, uint64_t deadline)
{
	struct header header = { request, VERSION | flags, body->size };
	struct iovec iov[2] = {
		{ &header, sizeof(header) },
		{ (void *)body->data, body->size },
	};

	return send_all(vu, iov, body, deadline);
}

static int receive_reply(const struct vhost_user *vu, uint32_t request, void *reply, uint32_t size,
	uint64_t deadline)
{
	struct header header;
	int ret = receive_all(vu, &header, sizeof(header), deadline);

	if (ret)
		return ret;
	if (header.request != request || (header.flags & (3u | IS_REPLY)) != (VERSION | IS_REPLY))
		return -EPROTO;
	if (request == GET_CONFIG && !header.size)
		return -EREMOTEIO;
	if (header.size != size)
		return -EPROTO;
	return receive_all(vu, reply, size, deadline);
}

/* Ask, and have `size` bytes of reply. */
static int ask(struct vhost_user *vu, uint32_t request, const struct body *body, void *reply,
	uint32_t size)
{
	uint64_t deadline = timeline_now_ms() + vu->patience_ms;
	int ret;

	if (vu->vhost.fd < 0)
		return -EPIPE;
	ret = send_message(vu, request, 0, body, deadline);
	if (!ret)
		ret = receive_reply(vu, request, reply, size, deadline);
	if (ret)
		vhost_user_close(vu);
	return ret;
}

static int ask_u64(struct vhost_user *vu, uint32_t request, uint64_t *value)
{
	static const struct body nothing;

	return ask(vu, request, &nothing, value, sizeof(*value));
}

static int tell(struct vhost_user *vu, uint32_t request, const struct body *body)
{
	int ret;

	if (vu->vhost.fd < 0)
		return -EPIPE;
	ret = send_message(vu, request, 0, body, timeline_now_ms() + vu->patience_ms);
	if (ret)
		vhost_user_close(vu);
	return ret;
}

static int tell_u64(struct vhost_user *vu, uint32_t request, uint64_t value)
{
	const struct body body = { .data = &value, .size = sizeof(value) };

	return tell(vu, request, &body);
}

static int tell_state(struct vhost_user *vu, uint32_t request, uint32_t index, uint32_t num)
{
	const struct vhost_vring_state state = { index, num };
	const struct body body = { .data = &state, .size = sizeof(state) };

	return tell(vu, request, &body);
}

static int tell_fd(struct vhost_user *vu, uint32_t request, uint64_t index, int fd)
{
	const struct body body = {
		.data = &index,
		.size = sizeof(index),
		.fds = { fd },
		.n_fds = 1,
	};

	return tell(vu, request, &body);
}

/* Tell, and hear that it was done, if the back end can say so. */
static int order(struct vhost_user *vu, uint32_t request, const struct body *body)
{
	uint64_t deadline = timeline_now_ms() + vu->patience_ms, refused;
	int ret;

	if (!(vu->protocol & BIT(VHOST_USER_PROTOCOL_F_REPLY_ACK)))
		return tell(vu, request, body);
	if (vu->vhost.fd < 0)
		return -EPIPE;
	ret = send_message(vu, request, NEED_REPLY, body, deadline);
	if (!ret)
		ret = receive_reply(vu, request, &refused, sizeof(refused), deadline);
	if (!ret && refused)
		ret = -EREMOTEIO;
	if (ret)
		vhost_user_close(vu);
	return ret;
}

/* ---- the connection ---- */

int vhost_user_connect(const char *path, struct diag *diag)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	size_t size = strlen(path) + 1;
	int fd, err;

	if (size > sizeof(at.sun_path))
		return diag_fail(diag, ENAMETOOLONG,
			"a socket's path has at most %zu bytes; name it from a nearer directory",
			sizeof(at.sun_path) - 1);
	memcpy(at.sun_path, path, size);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return diag_fail(diag, errno, "socket: %s", error_text(errno));
	if (!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	err = errno;
	close(fd);
	return diag_fail(diag, err, "cannot connect: %s%s", error_text(err),
		err == ENOENT || err == ECONNREFUSED ? "; start what serves it first" : "");
}

/* As QEMU does it, which all back ends know. */
static int agree(struct vhost_user *vu)
{
	static const struct body nothing;
	uint64_t offered, n_queues;
	int ret = ask_u64(vu, GET_FEATURES, &vu->vhost.features);

	vu->is_gated = vu->vhost.features & F_PROTOCOL_FEATURES;
	if (!ret && vu->is_gated) {
		ret = ask_u64(vu, GET_PROTOCOL_FEATURES, &offered);
		if (!ret)
			ret = tell_u64(vu, SET_PROTOCOL_FEATURES, offered & PROTOCOL);
		if (!ret)
			vu->protocol = offered & PROTOCOL;
	}
	if (!ret && vu->protocol & BIT(VHOST_USER_PROTOCOL_F_MQ)) {
		ret = ask_u64(vu, GET_QUEUE_NUM, &n_queues);
		if (!ret && n_queues < UINT_MAX)
			vu->vhost.max_queues = (unsigned int)n_queues;
	}
	return ret ? ret : tell(vu, SET_OWNER, &nothing);
}

int vhost_user_init(struct vhost_user *vu, int fd, unsigned int patience_ms, struct diag *diag)
{
	int ret;

	*vu = (struct vhost_user){
		.vhost = { .ops = &vhost_user_ops, .fd = fd, .max_queues = UINT_MAX },
		.patience_ms = patience_ms,
	};
	ret = agree(vu);
	if (ret)
		return diag_fail(diag, -ret, "the back end: %s", vhost_user_strerror(ret));
	if (!(vu->vhost.features & BIT(VIRTIO_F_VERSION_1))) {
		vhost_user_close(vu);
		return diag_fail(diag, ENOTSUP, "the back end does not know virtio 1.0");
	}
	return 0;
}

void vhost_user_close(struct vhost_user *vu)
{
	if (vu->vhost.fd >= 0)
		close(vu->vhost.fd);
	vu->vhost.fd = -1;
}

const char *vhost_user_strerror(int ret)
{
	switch (ret) {
	case -EPIPE: return "it has closed its connection";
	case -ETIMEDOUT: return "it does not answer";
	case -EPROTO: return "it does not keep to the protocol (vhost-user)";
	case -EREMOTEIO: return "it refuses what it is asked for";
	default: return error_text(-ret);
	}
}

static int vhost_user_check(struct vhost *vhost)
{
	struct vhost_user *vu = (struct vhost_user *)vhost;
	char byte;
	ssize_t n;
	int ret;

	if (vu->vhost.fd < 0)
		return -EPIPE;
	n = recv(vu->vhost.fd, &byte, 1, MSG_PEEK);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	ret = n > 0 ? -EPROTO : n == 0 || errno == ECONNRESET ? -EPIPE : -errno;
	vhost_user_close(vu);
	return ret;
}

/* ---- the device ---- */

int vhost_user_get_config(struct vhost_user *vu, void *config, uint32_t size)
{
	struct config request = { .size = size }, reply;
	uint32_t total = (uint32_t)offsetof(struct config, data) + size;
	const struct body body = { .data = &request, .size = total };
	int ret;

	BUG_ON(size > sizeof(request.data));
	ret = ask(vu, GET_CONFIG, &body, &reply, total);
	if (ret)
		return ret;
	if (reply.offset != 0 || reply.size != size) {
		vhost_user_close(vu);
		return -EPROTO;
	}
	memcpy(config, reply.data, size);
	return 0;
}

int vhost_user_set_config(struct vhost_user *vu, uint32_t offset, const void *data, uint32_t size)
{
	struct config request = { .offset = offset, .size = size };
	const struct body body = {
		.data = &request,
		.size = (uint32_t)offsetof(struct config, data) + size,
	};

	BUG_ON(size > sizeof(request.data));
	memcpy(request.data, data, size);
	return order(vu, SET_CONFIG, &body);
}

static int give_memory(struct vhost_user *vu, const struct guest_mem *mem)
{
	struct memory memory = { .n = (uint32_t)mem->n_regions };
	struct body body = { .data = &memory, .n_fds = memory.n };

	BUG_ON(!mem->is_shared || memory.n > MAX_FDS);
	for (unsigned int i = 0; i < memory.n; i++) {
		const struct mem_region *region = &mem->region[i];

		memory.region[i].gpa = region->gpa;
		memory.region[i].size = region->size;
		memory.region[i].hva = (uintptr_t)region->hva;
		memory.region[i].offset = region->offset;
		body.fds[i] = mem->fd;
	}
	body.size =
		(uint32_t)(offsetof(struct memory, region) + memory.n * sizeof(memory.region[0]));
	return order(vu, SET_MEM_TABLE, &body);
}

static int vhost_user_start(struct vhost *vhost, uint64_t features, const struct guest_mem *mem)
{
	struct vhost_user *vu = (struct vhost_user *)vhost;
	int ret = tell_u64(vu, SET_FEATURES, features | (vu->is_gated ? F_PROTOCOL_FEATURES : 0));

	if (ret || vu->has_memory)
		return ret;
	ret = give_memory(vu, mem);
	vu->has_memory = !ret;
	return ret;
}

static int place_ring(struct vhost_user *vu, const struct vhost_ring *ring)
{
	const struct vhost_vring_addr at = {
		.index = ring->index,
		.desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};
	const struct body body = { .data = &at, .size = sizeof(at) };

	return tell(vu, SET_VRING_ADDR, &body);
}

static int enable_ring(struct vhost_user *vu, unsigned int index, bool on)
{
	const struct vhost_vring_state state = { index, on };
	const struct body body = { .data = &state, .size = sizeof(state) };

	return order(vu, SET_VRING_ENABLE, &body);
}

static int vhost_user_start_ring(struct vhost *vhost, const struct vhost_ring *ring)
{
	struct vhost_user *vu = (struct vhost_user *)vhost;
	int ret = tell_state(vu, SET_VRING_NUM, ring->index, ring->size);

	if (!ret)
		ret = tell_state(vu, SET_VRING_BASE, ring->index, ring->base);
	if (!ret)
		ret = place_ring(vu, ring);
	if (!ret)
		ret = tell_fd(vu, SET_VRING_CALL, ring->index, ring->call_fd);
	if (!ret)
		ret = tell_fd(vu, SET_VRING_KICK, ring->index, ring->kick_fd);
	if (!ret && vu->is_gated)
		ret = enable_ring(vu, ring->index, true);
	return ret;
}

static int vhost_user_stop_ring(struct vhost *vhost, unsigned int index, uint32_t *base)
{
	struct vhost_user *vu = (struct vhost_user *)vhost;
	const struct vhost_vring_state state = { index, 0 };
	const struct body body = { .data = &state, .size = sizeof(state) };
	struct vhost_vring_state at;
	int ret = vu->is_gated ? enable_ring(vu, index, false) : 0;

	if (!ret)
		ret = ask(vu, GET_VRING_BASE, &body, &at, sizeof(at));
	if (!ret && at.index != index) {
		vhost_user_close(vu);
		ret = -EPROTO;
	}
	if (!ret && base)
		*base = at.num;
	return ret;
}

static void close_vhost(struct vhost *vhost)
{
	vhost_user_close((struct vhost_user *)vhost);
}

const struct vhost_ops vhost_user_ops = {
	.start = vhost_user_start,
	.start_ring = vhost_user_start_ring,
	.stop_ring = vhost_user_stop_ring,
	.check = vhost_user_check,
	.close = close_vhost,
	.strerror = vhost_user_strerror,
};
