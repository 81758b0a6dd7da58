// SPDX-License-Identifier: MIT
/* mmds_wire.c - what goes between the metadata service's process and who has started it */

#include "api/mmds_wire.h"

#include "util/bits.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(MMDS_MAX_NETS * sizeof(int))];
};

int mmds_wire_send(int fd, const void *data, size_t size, const int *fds, unsigned int n_fds)
{
	struct iovec iov = { (void *)data, size };
	union rights rights = { 0 };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };

	BUG_ON(n_fds > MMDS_MAX_NETS);
	if (n_fds) {
		rights.head =
			(struct cmsghdr){ CMSG_LEN(n_fds * sizeof(int)), SOL_SOCKET, SCM_RIGHTS };
		memcpy(CMSG_DATA(&rights.head), fds, n_fds * sizeof(int));
		msg.msg_control = &rights;
		msg.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
	}
	return sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static unsigned int take_fds(struct msghdr *msg, int *fds)
{
	struct cmsghdr *head = CMSG_FIRSTHDR(msg);
	size_t size;

	if (!head || head->cmsg_level != SOL_SOCKET || head->cmsg_type != SCM_RIGHTS)
		return 0;
	size = head->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(head), size);
	return (unsigned int)(size / sizeof(int));
}

int mmds_wire_receive(
	int fd, void *data, size_t size, int fds[MMDS_MAX_NETS], unsigned int *n_fds, int flags)
{
	struct iovec iov = { data, size };
	union rights rights;
	struct msghdr msg = { .msg_iov = &iov,
		.msg_iovlen = 1,
		.msg_control = &rights,
		.msg_controllen = sizeof(rights) };
	ssize_t n;

	do
		n = recvmsg(fd, &msg, flags | MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		return n ? -errno : 0;
	*n_fds = take_fds(&msg, fds);
	if ((size_t)n == size && !(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return 1;
	while (*n_fds)
		close(fds[--*n_fds]);
	return -EBADMSG;
}
