/* SPDX-License-Identifier: MIT */
/* iov.h - bytes that lie in several segments (struct iovec) */
#ifndef UTIL_IOV_H
#define UTIL_IOV_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* Copy out of, or into, the segments from byte `offset` of theirs on; how many bytes, `size` at
 * most.
 */
size_t iov_read_at(
	const struct iovec *iov, unsigned int n, uint64_t offset, void *data, size_t size);
size_t iov_write_at(
	const struct iovec *iov, unsigned int n, uint64_t offset, const void *data, size_t size);

/* The same from their first byte on. */
static inline size_t iov_read(const struct iovec *iov, unsigned int n, void *data, size_t size)
{
	return iov_read_at(iov, n, 0, data, size);
}

static inline size_t iov_write(
	const struct iovec *iov, unsigned int n, const void *data, size_t size)
{
	return iov_write_at(iov, n, 0, data, size);
}

/* Leave out the first `size` bytes, which there are: *iov is the first segment that is left, cut if
 * need be.  How many there are; none is empty at the front.
 */
unsigned int iov_skip(struct iovec **iov, unsigned int n, uint64_t size);

/* The part [offset, offset + size) of the segments as segments of its own, in `part`, which has
 * room for `n`: how many there are.  What lies behind the end is left out.
 */
unsigned int iov_slice(struct iovec *part, const struct iovec *iov, unsigned int n, uint64_t offset,
	uint64_t size);

#endif
