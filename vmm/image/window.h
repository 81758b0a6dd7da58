/* SPDX-License-Identifier: MIT */
/* window.h - look at a file that may lie about itself or change meanwhile
 *
 * Files of other people are never mapped for parsing: whoever cuts one would kill the process.
 */
#ifndef IMAGE_WINDOW_H
#define IMAGE_WINDOW_H

#include <stddef.h>
#include <stdint.h>

#define FILE_WINDOW_SIZE 4096u

/* A small moving view of a file, for headers that lie close together. */
struct file_window {
	int fd;
	int err;       /* -errno once a read failed, else 0 */
	uint64_t size; /* of the file */
	uint64_t start;
	size_t n;
	uint8_t data[FILE_WINDOW_SIZE];
};

void file_window_init(struct file_window *window, int fd, uint64_t size);

/* `size` <= FILE_WINDOW_SIZE bytes at `offset`, valid until the next call.  NULL: not all of them
 * are in the file, or they cannot be read (then err is set).
 */
const void *file_window_at(struct file_window *window, uint64_t offset, size_t size);

#endif
