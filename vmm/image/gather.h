/* SPDX-License-Identifier: MIT */
/* gather.h - have the host keep a file in huge pages */
#ifndef IMAGE_GATHER_H
#define IMAGE_GATHER_H

#include <stdint.h>

/* Move each whole block of 2 MiB without a hole, of a file of `size` bytes in memory (tmpfs), into
 * a huge page.  What cannot be done is left as it is: other file systems, kernels before 6.1.  The
 * contents stay as they are; the file position moves.
 */
void gather_pages(int fd, uint64_t size);

#endif
