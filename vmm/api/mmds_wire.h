/* SPDX-License-Identifier: MIT */
/* mmds_wire.h - what goes between the metadata service's process and who has started it
 *
 * By one socket of packets.  First the service says whether it could start; then it is only told.
 * When the socket is closed it ends.
 */
#ifndef API_MMDS_WIRE_H
#define API_MMDS_WIRE_H

#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>

#define MMDS_MAX_NETS 16 /* descriptors in a packet, as many as there are networks */

/* With the taps' descriptors, if it could. */
struct mmds_hello {
	int32_t err; /* 0, or an errno, and why */
	struct diag diag;
};

/* With the descriptor of a file that has the store's JSON. */
struct mmds_change {
	uint8_t needs_token;
	uint8_t is_imds;
};

/* One packet with descriptors, which stay the caller's.  0; -EAGAIN: there is no room for it;
 * -errno.
 */
int mmds_wire_send(int fd, const void *data, size_t size, const int *fds, unsigned int n_fds);

/* One packet of just `size` bytes; flags as for recvmsg(2).  *n_fds descriptors came with it, which
 * are the caller's.  1; 0: the other side has closed it; -EBADMSG: it is another; -errno.
 */
int mmds_wire_receive(
	int fd, void *data, size_t size, int fds[MMDS_MAX_NETS], unsigned int *n_fds, int flags);

#endif
