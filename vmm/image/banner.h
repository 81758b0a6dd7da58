/* SPDX-License-Identifier: MIT */
/* banner.h - find the line by which Linux introduces itself
 *
 * Inside image/ only.
 */
#ifndef IMAGE_BANNER_H
#define IMAGE_BANNER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The version that the banner tells into `version`, cut to its `size`; "" if there is no banner
 * (false).  Reads the file up to there.
 */
bool banner_find(int fd, uint64_t file_size, char *version, size_t size);

#endif
