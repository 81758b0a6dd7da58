// SPDX-License-Identifier: MIT
/* listener.c - a Unix stream socket at a path, where others come to */

#include "util/listener.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int new_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* Who was killed may have left somebody who removes it meanwhile: then it has gone.  connect(2) to
 * a file that is no socket is refused as well.
 */
static bool is_left_over(const struct sockaddr_un *address)
{
	struct stat st;
	bool is_refused;
	int fd;

	if (lstat(address->sun_path, &st))
		return errno == ENOENT;
	if (!S_ISSOCK(st.st_mode))
		return false;
	fd = new_socket();
	is_refused = fd >= 0 && connect(fd, (const void *)address, sizeof(*address)) &&
	             (errno == ECONNREFUSED || errno == ENOENT);
	if (fd >= 0)
		close(fd);
	return is_refused;
}

static int listen_at(int fd, const struct sockaddr_un *address, int backlog)
{
	int ret = bind(fd, (const void *)address, sizeof(*address)) ? -errno : 0;

	if (ret == -EADDRINUSE && is_left_over(address) &&
		(!unlink(address->sun_path) || errno == ENOENT))
		ret = bind(fd, (const void *)address, sizeof(*address)) ? -errno : 0;
	if (!ret && listen(fd, backlog))
		ret = -errno;
	return ret;
}

size_t listener_max_path(void)
{
	return sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
}

int listener_open(struct listener *listener, const char *path, int backlog)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd, ret;

	*listener = (struct listener){ .fd = -1, .path = path };
	if (strlen(path) > listener_max_path())
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path) + 1);
	fd = new_socket();
	ret = fd < 0 ? -errno : listen_at(fd, &address, backlog);
	if (!ret && lstat(path, &listener->made))
		ret = -errno;
	if (ret) {
		if (fd >= 0)
			close(fd);
		return ret;
	}
	listener->fd = fd;
	return 0;
}

bool listener_is_at(const char *path, const struct stat *made)
{
	struct stat st;

	return !lstat(path, &st) && st.st_dev == made->st_dev && st.st_ino == made->st_ino &&
	       st.st_mtim.tv_sec == made->st_mtim.tv_sec &&
	       st.st_mtim.tv_nsec == made->st_mtim.tv_nsec;
}

void listener_remove(const struct listener *listener)
{
	if (listener->fd >= 0 && listener_is_at(listener->path, &listener->made))
		unlink(listener->path);
}

void listener_close(struct listener *listener)
{
	if (listener->fd < 0)
		return;
	listener_remove(listener);
	close(listener->fd);
	listener->fd = -1;
}

int listener_connect(const char *path)
{
	return listener_connect_within(path, 0);
}

/* To wait for 0 is to wait for ever. */
int listener_connect_within(const char *path, unsigned int ms)
{
	const struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	int fd, ret;

	if (strlen(path) > listener_max_path())
		return -ENAMETOOLONG;
	memcpy(at.sun_path, path, strlen(path));
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -errno;
	if (!setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) &&
		!connect(fd, (struct sockaddr *)&at, sizeof(at)))
		return fd;
	ret = errno == EAGAIN ? -ETIMEDOUT : -errno;
	close(fd);
	return ret;
}

int listener_send(int fd, const void *data, size_t size)
{
	while (size) {
		ssize_t n = send(fd, data, size, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		data = (const char *)data + n;
		size -= (size_t)n;
	}
	return 0;
}
