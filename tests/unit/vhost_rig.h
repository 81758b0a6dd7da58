/* SPDX-License-Identifier: MIT */
/* vhost_rig.h - a back end of vhost-user that keeps a record, and misbehaves when told to
 *
 * For unit tests; needs cmocka.h before it.  A thread at the other end of a socket pair.
 */
#ifndef TESTS_UNIT_VHOST_RIG_H
#define TESTS_UNIT_VHOST_RIG_H

#include "host/vhost_user.h"
#include "util/bits.h"
#include "vhost_wire.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define V_ALL (1u << 0 | 1u << 3 | 1u << 9 | 1u << 12) /* one of them unknown to us */

/* What it does in place of the right answer. */
enum misdeed {
	GOOD,
	CLOSES,        /* without an answer */
	CLOSES_WITHIN, /* half an answer */
	SILENT,
	STALLS, /* half an answer, and no more */
	OTHER_REQUEST,
	OTHER_SIZE,
	HUGE_SIZE,
	OTHER_VERSION,
	NO_REPLY_FLAG,
	REFUSES, /* what it could say yes to */
	N_MISDEEDS,
};

#define V_MAX 64

/* Where each ring stood when it is stopped. */
#define V_BASE 7

struct backend {
	int fd, front_fd;
	pthread_t thread;
	uint64_t features, protocol, n_queues;
	uint8_t config[256];

	enum misdeed misdeed;
	unsigned int misdeed_at; /* the message that it is done at, from 0 */

	/* What it was told: read when the thread has ended, or has answered what came after. */
	unsigned int n;
	struct v_header got[V_MAX];
	_Alignas(uint64_t) uint8_t body[V_MAX][280];
	int fds[V_MAX][2]; /* -1: none */
};

/* It has said the last that it will say, and keeps the connection open. */
static atomic_bool v_is_silent;

static inline ssize_t v_receive(struct backend *b, unsigned int i)
{
	char room[CMSG_SPACE(2 * sizeof(int))] __attribute__((aligned(8)));
	struct iovec iov = { &b->got[i], sizeof(b->got[i]) };
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = room,
		.msg_controllen = sizeof(room) };
	ssize_t n = recvmsg(b->fd, &msg, MSG_WAITALL);
	const struct cmsghdr *rights = CMSG_FIRSTHDR(&msg);

	b->fds[i][0] = b->fds[i][1] = -1;
	if (n == (ssize_t)sizeof(b->got[i]) && rights)
		memcpy(b->fds[i], CMSG_DATA(rights), rights->cmsg_len - CMSG_LEN(0));
	if (n == (ssize_t)sizeof(b->got[i]) && b->got[i].size)
		n = recv(b->fd, b->body[i], b->got[i].size, MSG_WAITALL);
	return n;
}

/* Whether it is to be answered, and with what. */
static inline bool v_answer(const struct backend *b, unsigned int i, void *body, uint32_t *size)
{
	uint64_t u64 = 0;

	*size = sizeof(u64);
	switch (b->got[i].request) {
	case V_GET_FEATURES: u64 = b->features; break;
	case V_GET_PROTOCOL_FEATURES: u64 = b->protocol; break;
	case V_GET_QUEUE_NUM: u64 = b->n_queues; break;
	case V_GET_VRING_BASE:
		memcpy(body, b->body[i], *size);
		((uint32_t *)body)[1] = V_BASE;
		return true;
	case V_GET_CONFIG:
		*size = b->got[i].size;
		memcpy(body, b->body[i], 12);
		memcpy((char *)body + 12, b->config, *size - 12);
		return true;
	default:
		if (!(b->got[i].flags & V_NEED_REPLY))
			return false;
		u64 = b->misdeed == REFUSES && i == b->misdeed_at;
	}
	memcpy(body, &u64, *size);
	return true;
}

static inline void v_reply(
	struct backend *b, unsigned int i, const void *body, uint32_t size, enum misdeed misdeed)
{
	struct v_header header = { b->got[i].request, V_VERSION | V_REPLY, size };
	uint8_t all[sizeof(header) + 300] = { 0 };
	size_t n = sizeof(header) + size;

	header.request += misdeed == OTHER_REQUEST;
	header.size += misdeed == OTHER_SIZE ? 1 : misdeed == HUGE_SIZE ? 0xfffffff0u : 0;
	header.flags ^= misdeed == OTHER_VERSION ? 3u : misdeed == NO_REPLY_FLAG ? V_REPLY : 0;
	/* It has an error of its own. */
	if (misdeed == REFUSES && header.request == V_GET_CONFIG)
		header.size = 0, n = sizeof(header);
	memcpy(all, &header, sizeof(header));
	memcpy(all + sizeof(header), body, size);
	if (misdeed == STALLS || misdeed == CLOSES_WITHIN)
		n = sizeof(header) + size / 2;
	assert_int_equal(send(b->fd, all, n, MSG_NOSIGNAL), n);
}

static inline void *v_serve(void *arg)
{
	struct backend *b = arg;

	for (unsigned int i = 0; i < V_MAX && v_receive(b, i) > 0; i++) {
		enum misdeed misdeed = i == b->misdeed_at ? b->misdeed : GOOD;
		uint8_t body[300];
		uint32_t size;

		b->n = i + 1;
		if (misdeed == CLOSES)
			break;
		if (misdeed != SILENT && v_answer(b, i, body, &size))
			v_reply(b, i, body, size, misdeed);
		if (misdeed == SILENT || misdeed == STALLS)
			v_is_silent = true;
		if (misdeed == CLOSES_WITHIN)
			break;
	}
	shutdown(b->fd, SHUT_RDWR);
	return NULL;
}

/* Usual answers; front_fd is for who tests. */
static inline void backend_start(struct backend *b)
{
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(fcntl(pair[0], F_SETFL, O_NONBLOCK), 0);
	b->front_fd = pair[0];
	b->fd = pair[1];
	v_is_silent = false;
	assert_int_equal(pthread_create(&b->thread, NULL, v_serve, b), 0);
}

static inline struct backend backend_usual(void)
{
	struct backend b = {
		.features = V_GATED | UINT64_C(1) << 32 | UINT64_C(1) << 29 | 0x40,
		.protocol = V_ALL,
		.n_queues = 2,
		.misdeed_at = V_MAX,
	};

	for (unsigned int i = 0; i < sizeof(b.config); i++)
		b.config[i] = (uint8_t)(i * 3);
	return b;
}

static inline void backend_release(struct backend *b)
{
	close(b->fd);
	for (unsigned int i = 0; i < b->n; i++)
		for (unsigned int k = 0; k < 2; k++)
			if (b->fds[i][k] >= 0)
				close(b->fds[i][k]);
}

/* After the front end has closed its end, or the back end has. */
static inline void backend_join(struct backend *b)
{
	assert_int_equal(pthread_join(b->thread, NULL), 0);
	backend_release(b);
}

#endif
