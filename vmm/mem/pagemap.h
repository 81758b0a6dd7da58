/* SPDX-License-Identifier: MIT */
/* pagemap.h - what the host's kernel tells of a process's own pages, by /proc/self/pagemap
 *
 * Source: the kernel's Documentation/admin-guide/mm/pagemap.rst.  Reading it yields 64 bits a page;
 * the ioctl, and the kind of userfaultfd that goes with it, are in the headers since Linux 6.7.
 */
#ifndef MEM_PAGEMAP_H
#define MEM_PAGEMAP_H

#include "util/pagemap_scan.h"

#include <stddef.h>
#include <stdint.h>

#define PAGEMAP      "/proc/self/pagemap"
#define PAGE_PRESENT (UINT64_C(1) << 63)
#define PAGE_SWAPPED (UINT64_C(1) << 62)
#define PAGE_OF_FILE (UINT64_C(1) << 61)

/* This process's, owned; or -errno.  What of a process cannot be dumped is root's alone, this file
 * among it: it can be for so long.
 */
int pagemap_open(void);

/* What it has of `n` pages from this one on; of such a descriptor.  -errno. */
int pagemap_read(int fd, const void *page, uint64_t *entry, size_t n);

#endif
