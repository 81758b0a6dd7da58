/* SPDX-License-Identifier: MIT */
/* cpio.h - write the archive that Linux unpacks into its first root file system
 *
 * Source: Linux Documentation/driver-api/early-userspace/buffer-format.rst, "newc".  All belongs to
 * root, and has no time.
 */
#ifndef INITRAMFS_CPIO_H
#define INITRAMFS_CPIO_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct cpio {
	int fd;        /* an empty file; not owned */
	uint64_t size; /* bytes so far */
	uint32_t n;    /* entries so far */
	int err;       /* the first failure: -errno of writing, or -EFBIG */
};

/* Add a file with its content, a directory, or a device; `mode` is stat(2)'s.  The directories of a
 * name are added before it.  What fails is told by cpio_finish().
 */
void cpio_add(struct cpio *cpio, const char *name, mode_t mode, const void *data, size_t size);
void cpio_add_device(struct cpio *cpio, const char *name, mode_t mode, dev_t device);

/* 0: the archive is whole, cpio->size bytes; or -errno. */
int cpio_finish(struct cpio *cpio);

#endif
