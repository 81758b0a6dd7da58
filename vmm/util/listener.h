/* SPDX-License-Identifier: MIT */
/* listener.h - a Unix stream socket at a path, where others come to */
#ifndef UTIL_LISTENER_H
#define UTIL_LISTENER_H

#include <stddef.h>
#include <stdint.h>

struct listener {
	int fd;            /* that listens, non-blocking; -1: none */
	const char *path;  /* outlives it */
	uint64_t dev, ino; /* of the file that was made there */
};

/* The longest path, in bytes: what a sockaddr_un has room for. */
size_t listener_max_path(void);

/* Listen at `path`.  A socket that nobody listens to any more, as a killed process leaves it, is
 * replaced; nothing else that is there is touched.  0; -EADDRINUSE: something is there;
 * -ENAMETOOLONG; -errno of socket, bind, listen.
 */
int listener_open(struct listener *listener, const char *path, int backlog);

/* Remove the socket, if it is still the one that was made.  Nothing happens to one that is not
 * open.
 */
void listener_close(struct listener *listener);

/* The other side: a socket, blocking and the caller's, that is connected to who listens at `path`.
 * -ENAMETOOLONG; -errno of socket, connect.
 */
int listener_connect(const char *path);
/* The same, but a listener that has no room for one more is waited for so long at most, from 1 ms
 * on, and the socket waits no longer when it sends: -ETIMEDOUT.
 */
int listener_connect_within(const char *path, unsigned int ms);

/* Say all of it to the other side, on a blocking socket.  0, -errno; no SIGPIPE. */
int listener_send(int fd, const void *data, size_t size);

#endif
