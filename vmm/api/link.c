// SPDX-License-Identifier: MIT
/* link.c - what the API's process and the VMM say to each other */

#include "api/link.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

static int send_message(int fd, const struct link_message *message, int flags)
{
	size_t size = offsetof(struct link_message, text) + strnlen(message->text, LINK_TEXT - 1);

	return send(fd, message, size, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

int link_send(int fd, const struct link_message *message)
{
	return send_message(fd, message, MSG_DONTWAIT);
}

int link_answer(int fd, const struct link_message *message)
{
	return send_message(fd, message, 0);
}

int link_receive(int fd, struct link_message *message)
{
	ssize_t n = recv(fd, message, sizeof(*message) - 1, MSG_DONTWAIT);

	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	if ((size_t)n < offsetof(struct link_message, text))
		return -EBADMSG;
	((char *)message)[n] = 0;
	return 1;
}
