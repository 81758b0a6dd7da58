// SPDX-License-Identifier: MIT
/* link.c - what the API's process and the VMM say to each other */

#include "api/link.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>

#define HEADER offsetof(struct link_message, text)

static int send_message(int fd, const struct link_message *message, int flags)
{
	size_t size = message->n_counts ? message->n_counts * sizeof(message->counts[0])
	                                : strnlen(message->text, LINK_TEXT - 1);

	return send(fd, message, HEADER + size, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
}

int link_send(int fd, const struct link_message *message)
{
	return send_message(fd, message, MSG_DONTWAIT);
}

int link_answer(int fd, const struct link_message *message)
{
	return send_message(fd, message, 0);
}

/* Nobody takes counts for a text. */
static bool has_counts(const struct link_message *message, size_t size)
{
	bool may = message->event ? message->event == LINK_EVENT_COUNTS
	                          : message->ask == LINK_COUNT || message->ask == LINK_FLUSH;

	return may && message->n_counts <= LINK_COUNTS &&
	       size == message->n_counts * sizeof(message->counts[0]);
}

int link_receive(int fd, struct link_message *message)
{
	ssize_t n = recv(fd, message, sizeof(*message), MSG_DONTWAIT);
	size_t size;

	if (n < 0)
		return errno == ECONNRESET ? 0 : -errno;
	if (n == 0)
		return 0;
	if ((size_t)n < HEADER)
		return -EBADMSG;
	size = (size_t)n - HEADER;
	if (message->n_counts)
		return has_counts(message, size) ? 1 : -EBADMSG;
	if (size >= LINK_TEXT)
		return -EBADMSG;
	message->text[size] = 0;
	return 1;
}
