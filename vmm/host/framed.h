/* SPDX-License-Identifier: MIT */
/* framed.h - Ethernet frames on a stream socket, each after its length
 *
 * The length is 4 bytes, the most significant first; so passt(1) has it, and QEMU's -netdev stream.
 * There is no header for offloads.  What arrives cut is put together; of what goes out cut, the
 * rest is kept and goes before the next.
 */
#ifndef HOST_FRAMED_H
#define HOST_FRAMED_H

#include "host/link.h"

#include <stddef.h>

#define FRAMED_LENGTH 4u
#define FRAMED_MAX    65535u /* bytes of a frame; passt gives up on longer ones */

struct framed {
	struct link link; /* first */

	uint8_t *in; /* owned: what has arrived, [in_from, in_to) */
	size_t in_from, in_to;

	uint8_t *out; /* owned: the rest of a frame, [out_from, out_to) */
	size_t out_from, out_to;
};

/* Take over a connected socket.  ops are the caller's, by the functions below.  -ENOMEM: `fd` is
 * still the caller's.
 */
int framed_init(struct framed *framed, const struct link_ops *ops, int fd);
void framed_fini(struct framed *framed);

/* As struct link_ops has them. */
int framed_send(struct link *link, struct iovec *iov, unsigned int n);
int framed_flush(struct link *link);
ssize_t framed_receive(
	struct link *link, struct iovec *iov, unsigned int n, size_t room, bool is_all);

#endif
