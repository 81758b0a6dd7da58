// SPDX-License-Identifier: MIT
/* framed.c - Ethernet frames on a stream socket */

#include "host/framed.h"

#include "util/bits.h"
#include "util/iov.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Several frames for one system call; the longest fits whatever lies before it. */
#define IN_SIZE  ((size_t)KIB(256))
#define OUT_SIZE ((size_t)FRAMED_LENGTH + FRAMED_MAX)

int framed_init(struct framed *framed, const struct link_ops *ops, int fd)
{
	*framed = (struct framed){
		.link = { .ops = ops, .fd = fd, .end_fd = -1 },
		.in = malloc(IN_SIZE),
		.out = malloc(OUT_SIZE),
	};
	if (framed->in && framed->out)
		return 0;
	free(framed->in);
	free(framed->out);
	return -ENOMEM;
}

void framed_fini(struct framed *framed)
{
	close(framed->link.fd);
	free(framed->in);
	free(framed->out);
}

/* ---- sending ---- */

static ssize_t send_now(struct framed *framed, struct iovec *iov, unsigned int n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t sent;

	do
		sent = sendmsg(framed->link.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

/* The other side reads lengths: what has begun must be completed. */
int framed_flush(struct link *link)
{
	struct framed *framed = (struct framed *)link;

	while (framed->out_from < framed->out_to) {
		struct iovec rest = { framed->out + framed->out_from,
			framed->out_to - framed->out_from };
		ssize_t sent = send_now(framed, &rest, 1);

		if (sent < 0)
			return sent == -ENOMEM || sent == -ENOBUFS ? -EAGAIN : (int)sent;
		framed->out_from += (size_t)sent;
	}
	return 0;
}

static void keep_rest(struct framed *framed, struct iovec *iov, unsigned int n)
{
	framed->out_from = framed->out_to = 0;
	for (unsigned int i = 0; i < n; i++) {
		memcpy(framed->out + framed->out_to, iov[i].iov_base, iov[i].iov_len);
		framed->out_to += iov[i].iov_len;
	}
}

static size_t size_of(const struct iovec *iov, unsigned int n)
{
	size_t size = 0;

	for (unsigned int i = 0; i < n; i++)
		size += iov[i].iov_len;
	return size;
}

int framed_send(struct link *link, struct iovec *iov, unsigned int n)
{
	struct framed *framed = (struct framed *)link;
	size_t size = size_of(iov, n);
	struct iovec *frame = iov;
	uint32_t length;
	ssize_t sent;
	int ret = framed_flush(link);

	if (ret)
		return ret;
	if (size < LINK_HEADER + LINK_MIN_FRAME || size > LINK_HEADER + FRAMED_MAX)
		return -EMSGSIZE;
	length = htonl((uint32_t)size - LINK_HEADER);
	n = iov_skip(&frame, n, LINK_HEADER);
	memmove(iov + 1, frame, n * sizeof(*iov));
	iov[0] = (struct iovec){ &length, FRAMED_LENGTH };
	n++;
	sent = send_now(framed, iov, n);
	if (sent < 0)
		return (int)sent;
	n = iov_skip(&iov, n, (size_t)sent);
	keep_rest(framed, iov, n);
	return n ? 1 : 0;
}

/* ---- receiving ---- */

/* The length of the frame that is there, whole; 0: there is none; -EPIPE: what is there is
 * nonsense, and there is no way back into step.
 */
static int whole_frame(const struct framed *framed)
{
	size_t size = framed->in_to - framed->in_from;
	uint32_t length;

	if (size < FRAMED_LENGTH)
		return 0;
	memcpy(&length, framed->in + framed->in_from, FRAMED_LENGTH);
	length = ntohl(length);
	if (length < LINK_MIN_FRAME || length > FRAMED_MAX) {
		shutdown(framed->link.fd, SHUT_RDWR);
		return -EPIPE;
	}
	return size - FRAMED_LENGTH >= length ? (int)length : 0;
}

/* More of what the other side has sent.  0, -EAGAIN, or -EPIPE at its end. */
static int refill(struct framed *framed)
{
	size_t size = framed->in_to - framed->in_from;
	ssize_t n;

	/* Less than a frame is moved, and only when the next might not fit. */
	if (!size || IN_SIZE - framed->in_from < OUT_SIZE) {
		memmove(framed->in, framed->in + framed->in_from, size);
		framed->in_from = 0;
		framed->in_to = size;
	}
	do
		n = recv(framed->link.fd, framed->in + framed->in_to, IN_SIZE - framed->in_to,
			MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n > 0) {
		framed->in_to += (size_t)n;
		return 0;
	}
	return n < 0 && (errno == EAGAIN || errno == ENOMEM) ? -EAGAIN : -EPIPE;
}

static int await_frame(struct framed *framed)
{
	int length, ret = 0;

	while (!(length = whole_frame(framed)) && !ret)
		ret = refill(framed);
	return ret ? ret : length;
}

ssize_t framed_receive(
	struct link *link, struct iovec *iov, unsigned int n, size_t room, bool is_all)
{
	static const struct virtio_net_hdr_v1 header = { .num_buffers = 1 };
	struct framed *framed = (struct framed *)link;
	int length = await_frame(framed);
	const uint8_t *frame;

	if (length < 0)
		return length;
	if (room < LINK_HEADER + (size_t)length && !is_all)
		return -ENOBUFS;
	frame = framed->in + framed->in_from + FRAMED_LENGTH;
	framed->in_from += FRAMED_LENGTH + (size_t)length;
	if (room < LINK_HEADER + (size_t)length)
		return -EMSGSIZE;
	iov_write(iov, n, &header, LINK_HEADER);
	iov_write_at(iov, n, LINK_HEADER, frame, (size_t)length);
	return (ssize_t)LINK_HEADER + length;
}
