/* SPDX-License-Identifier: MIT */
/* evict.h - keep the cache within its size
 *
 * Inside image/ only.
 */
#ifndef IMAGE_EVICT_H
#define IMAGE_EVICT_H

#include <stdbool.h>
#include <stdint.h>

/* How the cache's files are told from what else may lie there, which is never touched; those that
 * are not whole yet begin with NEWFILE_PREFIX.
 */
#define EVICT_KERNEL ".elf"

/* Remove entries, those unused for longest first, until `size` more bytes fit within max_size, and
 * temporary files that a crash left behind.  False: they can never fit, and nothing was removed.
 */
bool evict_make_room(int dir_fd, uint64_t size, uint64_t max_size);

#endif
