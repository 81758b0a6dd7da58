// SPDX-License-Identifier: MIT
/* stream.c - bytes into or out of a file that others may share, without ever waiting for them */

#include "util/stream.h"

#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/major.h>
#include <poll.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <unistd.h>

struct stream stream_own(int fd)
{
	return (struct stream){ .fd = fd, .kind = STREAM_NON_BLOCKING, .is_owned = fd >= 0 };
}

/* The same file, described anew.  Not ptmx(4), which opened once more is another terminal. */
static int open_anew(int fd, int access, const struct stat *st)
{
	char path[32];

	if (S_ISCHR(st->st_mode) && st->st_rdev == makedev(TTYAUX_MAJOR, 2))
		return -1;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, access | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
}

struct stream stream_share(int fd, int access)
{
	struct stream stream = { .fd = fd, .kind = STREAM_NON_BLOCKING };
	struct stat st;
	int own;

	/* A regular file's position is shared, too: opened anew it would be lost. */
	if (file_stat(fd, &st) || S_ISREG(st.st_mode))
		return stream;
	stream.is_device = S_ISCHR(st.st_mode);
	if (S_ISSOCK(st.st_mode)) {
		stream.kind = STREAM_SOCKET;
		return stream;
	}
	own = open_anew(fd, access, &st);
	stream.kind = own < 0 ? STREAM_SHARED : STREAM_NON_BLOCKING;
	stream.fd = own < 0 ? fd : own;
	stream.is_owned = own >= 0;
	return stream;
}

void stream_close(struct stream *stream)
{
	if (stream->is_owned)
		close(stream->fd);
	*stream = stream_own(-1);
}

static ssize_t result(ssize_t n)
{
	if (n >= 0)
		return n;
	return errno == EINTR ? -EAGAIN : -errno;
}

/* What says that it is ready takes a byte, if not two. */
static bool is_ready(int fd, short events)
{
	struct pollfd ready = { .fd = fd, .events = events };

	return poll(&ready, 1, 0) > 0;
}

ssize_t stream_read(const struct stream *stream, void *data, size_t size)
{
	struct iovec iov = { data, size };
	ssize_t n;

	switch (stream->kind) {
	case STREAM_SOCKET: return result(recv(stream->fd, data, size, MSG_DONTWAIT));
	case STREAM_SHARED:
		n = preadv2(stream->fd, &iov, 1, -1, RWF_NOWAIT);
		if (n >= 0 || errno != EOPNOTSUPP)
			return result(n);
		return is_ready(stream->fd, POLLIN) ? result(read(stream->fd, data, 1)) : -EAGAIN;
	default: return result(read(stream->fd, data, size));
	}
}

ssize_t stream_write(const struct stream *stream, const void *data, size_t size)
{
	struct iovec iov = { (void *)data, size };
	ssize_t n;

	switch (stream->kind) {
	case STREAM_SOCKET:
		return result(send(stream->fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL));
	case STREAM_SHARED:
		n = pwritev2(stream->fd, &iov, 1, -1, RWF_NOWAIT);
		if (n >= 0 || errno != EOPNOTSUPP)
			return result(n);
		return is_ready(stream->fd, POLLOUT) ? result(write(stream->fd, data, 1)) : -EAGAIN;
	default: return result(write(stream->fd, data, size));
	}
}
