// SPDX-License-Identifier: MIT
/* link.c - what the API's process and the VMM say to each other */

#include "api/link.h"

#include "util/rights.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define HEADER offsetof(struct link_message, text)

static int send_message(
	int fd, const struct link_message *message, const struct link_files *files, int flags)
{
	size_t size = message->n_counts ? message->n_counts * sizeof(message->counts[0])
	                                : strnlen(message->text, LINK_TEXT - 1);
	ssize_t n;

	if (!files)
		return send(fd, message, HEADER + size, MSG_NOSIGNAL | flags) < 0 ? -errno : 0;
	n = rights_send(fd, message, HEADER + size, files->fd, files->n, flags);
	return n < 0 ? (int)n : 0;
}

int link_send(int fd, const struct link_message *message)
{
	return send_message(fd, message, NULL, MSG_DONTWAIT);
}

int link_ask(int fd, const struct link_message *message, const struct link_files *files)
{
	return send_message(fd, message, files, MSG_DONTWAIT);
}

int link_answer(int fd, const struct link_message *message)
{
	return send_message(fd, message, NULL, 0);
}

/* Nobody takes counts for a text. */
static bool has_counts(const struct link_message *message, size_t size)
{
	bool may = message->event ? message->event == LINK_EVENT_COUNTS
	                          : message->ask == LINK_COUNT || message->ask == LINK_FLUSH;

	return may && message->n_counts <= LINK_COUNTS &&
	       size == message->n_counts * sizeof(message->counts[0]);
}

/* `n`: bytes that came, or -errno. */
static int judge(struct link_message *message, ssize_t n)
{
	size_t size;

	if (n <= 0)
		return n == -ECONNRESET ? 0 : (int)n;
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

int link_receive(int fd, struct link_message *message)
{
	ssize_t n = recv(fd, message, sizeof(*message), MSG_DONTWAIT);

	return judge(message, n < 0 ? -errno : n);
}

int link_receive_ask(int fd, struct link_message *message, struct link_files *files)
{
	int ret;

	files->n = LINK_FILES;
	ret = judge(message,
		rights_receive(fd, message, sizeof(*message), files->fd, &files->n, MSG_DONTWAIT));
	if (ret != 1)
		link_close_files(files);
	return ret;
}

void link_close_files(struct link_files *files)
{
	for (size_t i = 0; i < files->n; i++)
		if (files->fd[i] >= 0)
			close(files->fd[i]);
	files->n = 0;
}
