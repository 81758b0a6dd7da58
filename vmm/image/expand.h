/* SPDX-License-Identifier: MIT */
/* expand.h - a file's content, unpacked into memory: a kernel's module
 *
 * The file may be anybody's: what it unpacks to is bounded.
 */
#ifndef IMAGE_EXPAND_H
#define IMAGE_EXPAND_H

#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>

/* A regular file, packed by gzip, xz or zstd, or plain; at most `max` bytes packed, and unpacked.
 * 0 and its content, at least one byte, owned by the caller; or -errno and diag.
 */
int expand_file(int fd, uint64_t max, uint8_t **data, size_t *size, struct diag *diag);

#endif
