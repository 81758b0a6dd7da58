// SPDX-License-Identifier: MIT
/* rights.c - descriptors that go with a message over a Unix socket */

#include "util/rights.h"

#include "util/bits.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

void rights_attach(struct msghdr *message, union rights *rights, const int *fds, size_t n)
{
	BUG_ON(n > RIGHTS_MAX);
	if (!n)
		return;
	memset(rights, 0, sizeof(*rights));
	rights->head = (struct cmsghdr){ CMSG_LEN(n * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
	memcpy(CMSG_DATA(&rights->head), fds, n * sizeof(int));
	message->msg_control = rights;
	message->msg_controllen = CMSG_SPACE(n * sizeof(int));
}

ssize_t rights_send(int socket, const void *data, size_t size, const int *fds, size_t n, int flags)
{
	struct iovec iov = { (void *)data, size };
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	union rights rights;
	ssize_t sent;

	rights_attach(&message, &rights, fds, n);
	do
		sent = sendmsg(socket, &message, flags | MSG_NOSIGNAL);
	while (sent < 0 && errno == EINTR);
	return sent < 0 ? -errno : sent;
}

static size_t take(struct msghdr *message, int *fds)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(message);
	size_t size;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return 0;
	size = head->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(head), size);
	return size / sizeof(int);
}

ssize_t rights_receive(int socket, void *data, size_t size, int *fds, size_t *n, int flags)
{
	struct iovec iov = { data, size };
	union rights rights;
	struct msghdr message = { .msg_iov = &iov, .msg_iovlen = 1 };
	int came[RIGHTS_MAX];
	size_t room = *n, n_came;
	ssize_t got;

	BUG_ON(room > RIGHTS_MAX);
	do {
		message.msg_control = &rights;
		message.msg_controllen = sizeof(rights);
		got = recvmsg(socket, &message, flags | MSG_CMSG_CLOEXEC);
	} while (got < 0 && errno == EINTR);
	*n = 0;
	if (got < 0)
		return -errno;
	n_came = take(&message, came);
	if (n_came <= room && !(message.msg_flags & (MSG_TRUNC | MSG_CTRUNC))) {
		if (n_came)
			memcpy(fds, came, n_came * sizeof(*came));
		*n = n_came;
		return got;
	}
	while (n_came)
		close(came[--n_came]);
	return -EBADMSG;
}
