/* SPDX-License-Identifier: MIT */
/* rights.h - descriptors that go with a message over a Unix socket
 *
 * Source: unix(7), SCM_RIGHTS; cmsg(3).  Any thread.
 */
#ifndef UTIL_RIGHTS_H
#define UTIL_RIGHTS_H

#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>

#define RIGHTS_MAX 16 /* descriptors in a message */

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(RIGHTS_MAX * sizeof(int))];
};

/* Have the message take `n` descriptors along, which stay the caller's; 0: none. */
void rights_attach(struct msghdr *message, union rights *rights, const int *fds, size_t n);

/* sendmsg(2) of these bytes with `n` descriptors: how many bytes went, or -errno. */
ssize_t rights_send(int socket, const void *data, size_t size, const int *fds, size_t n, int flags);

/* recvmsg(2): how many bytes came, 0 at the end, or -errno.  With them came *n descriptors, the
 * caller's, which close on exec; there is room for *n (0: fds may be NULL).  -EBADMSG: there were
 * more, or more bytes than there is room for; all of them are closed.
 */
ssize_t rights_receive(int socket, void *data, size_t size, int *fds, size_t *n, int flags);

#endif
