/* SPDX-License-Identifier: MIT */
/* foreign.h - words for what is no kernel, or a kernel for other doors than PVH's */
#ifndef IMAGE_FOREIGN_H
#define IMAGE_FOREIGN_H

#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>

/* "an initrd (a cpio archive)", by the first n bytes of a file; NULL: nothing known. */
const char *foreign_name(const uint8_t *head, size_t n);

/* The file that starts so is no kernel: -ENOEXEC, and in diag what it looks like. */
int foreign_refuse(const uint8_t *head, size_t n, struct diag *diag);

/* "an ELF" or "a bzImage", if the file is a kernel by its beginning, and not what kernels are
 * given; NULL: it is not, or cannot be read.
 */
const char *foreign_kernel_name(int fd);

/* How a kernel in an ELF of `size` bytes is entered, which is not Linux and has no PVH entry, and
 * what to do.
 */
const char *foreign_door(int fd, uint64_t size);

#endif
