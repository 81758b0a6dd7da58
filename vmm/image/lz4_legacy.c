// SPDX-License-Identifier: MIT
/* lz4_legacy.c - the format of `lz4 -l`: a magic number, then blocks, each with its size */

#include "image/lz4_legacy.h"

#include <endian.h>
#include <errno.h>
#include <lz4.h>
#include <stdlib.h>

#define MAGIC      0x184c2102u
#define BLOCK_SIZE (8 << 20) /* unpacked; the last block of a stream may have less, not nothing */
#define MAX_PACKED LZ4_COMPRESSBOUND(BLOCK_SIZE)

struct blocks {
	bool ended; /* by a short block */
	char packed[MAX_PACKED];
	char plain[BLOCK_SIZE];
};

/* The next block's size, or a magic number, which is no size; 0 at the end. */
static int next_size(struct unpack_io *io, uint32_t *size)
{
	*size = 0;
	/* Nothing, or the appended size, or an error: the caller looks, too. */
	if (unpack_io_peek(io, sizeof(*size)) <= (int64_t)sizeof(*size))
		return 0;
	unpack_io_read(io, size, sizeof(*size));
	*size = le32toh(*size);
	return *size ? 0 : -EBADMSG;
}

static int unpack_block(struct unpack_io *io, struct blocks *blocks, uint32_t size)
{
	int64_t n;
	int plain;

	if (size > MAX_PACKED || blocks->ended)
		return -EBADMSG;
	n = unpack_io_read(io, blocks->packed, size);
	if (n < (int64_t)size)
		return n < 0 ? (int)n : -ENODATA;
	plain = LZ4_decompress_safe(blocks->packed, blocks->plain, (int)size, BLOCK_SIZE);
	if (plain <= 0)
		return -EBADMSG;
	blocks->ended = plain < BLOCK_SIZE;
	return unpack_io_write(io, blocks->plain, (size_t)plain);
}

int lz4_legacy_unpack(struct unpack_io *io, unsigned int max_streams)
{
	struct blocks *blocks = malloc(sizeof(*blocks));
	unsigned int n_streams = 0;
	uint32_t size;
	int ret;

	if (!blocks)
		return -ENOMEM;
	blocks->ended = false;
	while (!(ret = next_size(io, &size)) && size) {
		if (size == MAGIC) {
			blocks->ended = false;
			ret = ++n_streams > max_streams ? -E2BIG : 0;
		} else {
			ret = unpack_block(io, blocks, size);
		}
		if (ret)
			break;
	}
	free(blocks);
	return ret;
}
