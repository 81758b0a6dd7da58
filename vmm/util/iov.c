// SPDX-License-Identifier: MIT
/* iov.c - bytes that lie in several segments */

#include "util/iov.h"

#include <string.h>

static size_t min_size(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The part of a segment that is at hand, and what is left of offset and size after it. */
static struct iovec take(const struct iovec *segment, uint64_t *offset, size_t *size)
{
	size_t from = min_size(segment->iov_len, *offset);
	struct iovec part = { (char *)segment->iov_base + from,
		min_size(segment->iov_len - from, *size) };

	*offset -= from;
	*size -= part.iov_len;
	return part;
}

size_t iov_read_at(
	const struct iovec *iov, unsigned int n, uint64_t offset, void *data, size_t size)
{
	size_t left = size;

	for (unsigned int i = 0; i < n && left; i++) {
		char *to = (char *)data + (size - left);
		struct iovec part = take(&iov[i], &offset, &left);

		memcpy(to, part.iov_base, part.iov_len);
	}
	return size - left;
}

size_t iov_write_at(
	const struct iovec *iov, unsigned int n, uint64_t offset, const void *data, size_t size)
{
	size_t left = size;

	for (unsigned int i = 0; i < n && left; i++) {
		const char *from = (const char *)data + (size - left);
		struct iovec part = take(&iov[i], &offset, &left);

		memcpy(part.iov_base, from, part.iov_len);
	}
	return size - left;
}

unsigned int iov_skip(struct iovec **iov, unsigned int n, uint64_t size)
{
	while (n && size >= (*iov)->iov_len) {
		size -= (*iov)->iov_len;
		(*iov)++;
		n--;
	}
	if (n) {
		(*iov)->iov_base = (char *)(*iov)->iov_base + size;
		(*iov)->iov_len -= size;
	}
	return n;
}

unsigned int iov_slice(
	struct iovec *part, const struct iovec *iov, unsigned int n, uint64_t offset, uint64_t size)
{
	unsigned int n_parts = 0;

	for (unsigned int i = 0; i < n && size; i++) {
		part[n_parts] = take(&iov[i], &offset, &size);
		n_parts += part[n_parts].iov_len > 0;
	}
	return n_parts;
}
