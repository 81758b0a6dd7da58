// SPDX-License-Identifier: MIT
/* mmds_wire.c - what goes between the metadata service's process and who has started it */

#include "api/mmds_wire.h"

#include "util/rights.h"

#include <errno.h>
#include <unistd.h>

_Static_assert(MMDS_MAX_NETS <= RIGHTS_MAX, "a packet has room for all");

int mmds_wire_send(int fd, const void *data, size_t size, const int *fds, unsigned int n_fds)
{
	ssize_t n = rights_send(fd, data, size, fds, n_fds, MSG_DONTWAIT);

	return n < 0 ? (int)n : 0;
}

int mmds_wire_receive(
	int fd, void *data, size_t size, int fds[MMDS_MAX_NETS], unsigned int *n_fds, int flags)
{
	size_t n_came = MMDS_MAX_NETS;
	ssize_t n = rights_receive(fd, data, size, fds, &n_came, flags);

	*n_fds = (unsigned int)n_came;
	if (n <= 0)
		return (int)n;
	if ((size_t)n == size)
		return 1;
	while (*n_fds)
		close(fds[--*n_fds]);
	return -EBADMSG;
}
