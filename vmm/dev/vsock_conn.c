// SPDX-License-Identifier: MIT
/* vsock_conn.c - one stream of a vsock device: its socket */

#include "dev/vsock_conn.h"

#include "util/iov.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

/* How many bytes the socket takes, 0 if it takes none now; -1 if it never will. */
static ssize_t send_some(int fd, struct iovec *iov, unsigned int n)
{
	struct msghdr msg = { .msg_iov = iov, .msg_iovlen = n };
	ssize_t sent = sendmsg(fd, &msg, MSG_NOSIGNAL | MSG_DONTWAIT);

	if (sent >= 0)
		return sent;
	return errno == EAGAIN || errno == EINTR || errno == ENOBUFS ? 0 : -1;
}

/* The guest is told how much room there is with each packet; by one of its own when it may believe
 * that there is little.
 */
static void count_forwarded(struct conn *conn, uint32_t n)
{
	conn->n_forwarded += n;
	if (conn->n_from_guest - conn->n_told > CONN_BUFFER / 2)
		conn->tell |= TELL_CREDIT;
}

/* Keep what follows the first `offset` bytes: there is room for it. */
static void keep(struct conn *conn, const struct iovec *iov, unsigned int n, uint32_t offset)
{
	uint32_t tail = (conn->head + conn->n_buffered) % CONN_BUFFER;
	uint32_t most = CONN_BUFFER - tail;
	size_t kept = iov_read_at(iov, n, offset, conn->buffer + tail, most);

	if (kept == most)
		kept += iov_read_at(iov, n, offset + kept, conn->buffer, conn->head);
	conn->n_buffered += (uint32_t)kept;
}

bool conn_flush(struct conn *conn)
{
	while (conn->n_buffered) {
		uint32_t first = CONN_BUFFER - conn->head;
		struct iovec iov[2] = {
			{ conn->buffer + conn->head,
				conn->n_buffered < first ? conn->n_buffered : first },
			{ conn->buffer, conn->n_buffered < first ? 0 : conn->n_buffered - first },
		};
		ssize_t sent = send_some(conn->source.fd, iov, 2);

		if (sent <= 0)
			return !sent;
		conn->head = (conn->head + (uint32_t)sent) % CONN_BUFFER;
		conn->n_buffered -= (uint32_t)sent;
		count_forwarded(conn, (uint32_t)sent);
	}
	return true;
}

bool conn_take(struct conn *conn, const struct iovec *iov, unsigned int n, uint32_t size)
{
	ssize_t sent = 0;

	if (size > CONN_BUFFER - (conn->n_from_guest - conn->n_forwarded))
		return false;
	conn->n_from_guest += size;
	if (!conn->n_buffered && size)
		sent = send_some(conn->source.fd, (struct iovec *)iov, n);
	if (sent < 0)
		return false;
	keep(conn, iov, n, (uint32_t)sent);
	count_forwarded(conn, (uint32_t)sent);
	return true;
}

int conn_read_line(const struct conn *conn, uint32_t *port)
{
	char line[33] = "", *end;
	ssize_t n = recv(conn->source.fd, line, sizeof(line) - 1, MSG_PEEK | MSG_DONTWAIT);
	unsigned long long number;

	if (n <= 0)
		return n < 0 && (errno == EAGAIN || errno == EINTR) ? 0 : -1;
	end = memchr(line, '\n', (size_t)n);
	if (!end)
		return (size_t)n < sizeof(line) - 1 ? 0 : -1;
	if (recv(conn->source.fd, line, (size_t)(end - line) + 1, MSG_DONTWAIT) != end - line + 1)
		return -1;
	*end = '\0';
	if (strncmp(line, "CONNECT ", 8) != 0 || line[8] < '0' || line[8] > '9')
		return -1;
	number = strtoull(line + 8, &end, 10);
	if (*end || number >= UINT32_MAX)
		return -1;
	*port = (uint32_t)number;
	return 1;
}
