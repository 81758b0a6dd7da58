// SPDX-License-Identifier: MIT
/* served.c - what `pronto clone` and `pronto serve` say to each other */

#include "vm/served.h"

#include "util/listener.h"
#include "util/rights.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define N_FILES 3

struct head {
	uint32_t size; /* of the text that follows */
	uint32_t number;
};

static int receive_all(int fd, void *data, size_t size)
{
	while (size) {
		ssize_t n = recv(fd, data, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -ECONNRESET;
		data = (char *)data + n;
		size -= (size_t)n;
	}
	return 0;
}

/* ---- the request ---- */

static int send_head(int fd, const struct head *head)
{
	static const int files[N_FILES] = { STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO };
	ssize_t n = rights_send(fd, head, sizeof(*head), files, N_FILES, 0);

	return n == (ssize_t)sizeof(*head) ? 0 : n < 0 ? (int)n : -EPIPE;
}

int served_ask(int fd, int argc, char *const *argv, uint32_t number)
{
	struct head head = { .number = number };
	int ret;

	for (int i = 0; i < argc; i++) {
		size_t size = strlen(argv[i]) + 1;

		if (i == SERVED_MAX_ARGS || size > SERVED_MAX_TEXT - head.size)
			return -E2BIG;
		head.size += (uint32_t)size;
	}
	ret = send_head(fd, &head);
	for (int i = 0; i < argc && !ret; i++)
		ret = listener_send(fd, argv[i], strlen(argv[i]) + 1);
	return ret;
}

/* Files that come with it take the places of ours. */
static int take_files(const int files[N_FILES])
{
	int ret = 0;

	for (int i = 0; i < N_FILES; i++) {
		if (dup2(files[i], i) < 0)
			ret = -errno;
		close(files[i]);
	}
	return ret;
}

static int receive_head(int fd, struct head *head)
{
	int files[N_FILES];
	size_t n_files = N_FILES;
	ssize_t n = rights_receive(fd, head, sizeof(*head), files, &n_files, MSG_WAITALL);

	if (n == (ssize_t)sizeof(*head) && n_files == N_FILES)
		return take_files(files);
	while (n_files)
		close(files[--n_files]);
	return n < 0 ? (int)n : -EBADMSG;
}

int served_take(int fd, struct served_request *request)
{
	struct head head;
	char *at = request->text, *end;
	int ret = receive_head(fd, &head);

	if (ret)
		return ret;
	if (!head.size || head.size > sizeof(request->text))
		return -EBADMSG;
	ret = receive_all(fd, request->text, head.size);
	if (ret)
		return ret;
	end = request->text + head.size;
	if (end[-1])
		return -EBADMSG;
	for (request->argc = 0; at < end; at += strlen(at) + 1) {
		if (request->argc == SERVED_MAX_ARGS)
			return -EBADMSG;
		request->argv[request->argc++] = at;
	}
	request->argv[request->argc] = NULL;
	request->number = head.number;
	return 0;
}

/* ---- answers ---- */

int served_tell(int fd, int32_t value)
{
	return listener_send(fd, &value, sizeof(value));
}

int served_hear(int fd, int32_t *value)
{
	return receive_all(fd, value, sizeof(*value));
}
