/* SPDX-License-Identifier: MIT */
/* listener.h - a Unix stream socket at a path, where others come to */
#ifndef UTIL_LISTENER_H
#define UTIL_LISTENER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

struct listener {
	int fd;           /* that listens, non-blocking; -1: none */
	const char *path; /* outlives it */
	struct stat made; /* the file that was made there */
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
/* The same, and it is not closed: who does that has a copy of it. */
void listener_remove(const struct listener *listener);

/* Whether the socket that `made` tells of is still what lies at `path`: not another's that has got
 * its number since it went, as the next one at the same path may.
 */
bool listener_is_at(const char *path, const struct stat *made);

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
