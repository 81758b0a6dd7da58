// SPDX-License-Identifier: MIT
/* gather.c - have the host keep a file in huge pages */

#include "image/gather.h"

#include "util/bits.h"

#include <linux/mman.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <unistd.h>

#define BLOCK MIB(2)

/* What a huge page would fill, at the price of memory. */
static bool has_hole(int fd, uint64_t offset)
{
	return lseek(fd, (off_t)offset, SEEK_HOLE) < (off_t)(offset + BLOCK);
}

/* Errors say little: Linux 6.1 makes the huge page, and then may say that it did not. */
static void gather_blocks(int fd, uint64_t size, uint8_t *view)
{
	for (uint64_t offset = 0; offset + BLOCK <= size; offset += BLOCK)
		if (!has_hole(fd, offset))
			(void)madvise(view + offset, BLOCK, MADV_COLLAPSE);
}

void gather_pages(int fd, uint64_t size)
{
	uint64_t room = size + BLOCK;
	uint8_t *start, *view;

	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return;
	/* The file's blocks have to lie where a huge page can be mapped. */
	view = start + (-(uintptr_t)start & (BLOCK - 1));
	if (mmap(view, size, PROT_READ, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED)
		gather_blocks(fd, size, view);
	munmap(start, room);
}
