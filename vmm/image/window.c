// SPDX-License-Identifier: MIT
/* window.c - look at a file that may lie about itself or change meanwhile */

#include "image/window.h"

#include "util/bits.h"
#include "util/file.h"

void file_window_init(struct file_window *window, int fd, uint64_t size)
{
	window->fd = fd;
	window->err = 0;
	window->size = size;
	window->start = 0;
	window->n = 0;
}

const void *file_window_at(struct file_window *window, uint64_t offset, size_t size)
{
	int64_t n;

	BUG_ON(size > FILE_WINDOW_SIZE);
	if (!range_within(offset, size, 0, window->size))
		return NULL;
	if (!range_within(offset, size, window->start, window->n)) {
		n = file_read_some(window->fd, window->data, FILE_WINDOW_SIZE, offset);
		window->start = offset;
		window->n = n < 0 ? 0 : (size_t)n;
		if (n < 0)
			window->err = (int)n;
		/* Shorter than it said: somebody cut the file. */
		if (window->n < size)
			return NULL;
	}
	return window->data + (offset - window->start);
}
