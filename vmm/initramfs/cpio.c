// SPDX-License-Identifier: MIT
/* cpio.c - write the archive that Linux unpacks into its first root file system */

#include "initramfs/cpio.h"

#include "util/bits.h"
#include "util/file.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#define HEADER_SIZE 110
#define TRAILER     "TRAILER!!!"

static void append(struct cpio *cpio, const void *data, size_t size)
{
	if (!cpio->err && size)
		cpio->err = file_write_at(cpio->fd, data, size, cpio->size);
	cpio->size += size;
}

static void pad(struct cpio *cpio)
{
	static const char zeros[4];

	append(cpio, zeros, -cpio->size & 3);
}

static void add(struct cpio *cpio, const char *name, mode_t mode, dev_t device, const void *data,
	size_t size)
{
	size_t name_size = strlen(name) + 1;
	char header[HEADER_SIZE + 1];

	if (size > UINT32_MAX && !cpio->err)
		cpio->err = -EFBIG;
	/* inode, mode, owner, group, links, time, size, device, device of the device, name, sum */
	snprintf(header, sizeof(header),
		"070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", ++cpio->n, mode, 0, 0,
		1, 0, (uint32_t)size, 0, 0, major(device), minor(device), (uint32_t)name_size, 0);
	append(cpio, header, HEADER_SIZE);
	append(cpio, name, name_size);
	pad(cpio);
	append(cpio, data, size);
	pad(cpio);
}

void cpio_add(struct cpio *cpio, const char *name, mode_t mode, const void *data, size_t size)
{
	add(cpio, name, mode, 0, data, size);
}

void cpio_add_device(struct cpio *cpio, const char *name, mode_t mode, dev_t device)
{
	add(cpio, name, mode, device, NULL, 0);
}

int cpio_finish(struct cpio *cpio)
{
	add(cpio, TRAILER, 0, 0, NULL, 0);
	return cpio->err;
}
