/* SPDX-License-Identifier: MIT */
/* pack.h - a kernel, its initrd and command line packed into pvh-shim: one ELF that boots by PVH
 *
 * The parts become segments behind the shim's own; a note of the shim says where (pvh/pack.h).
 */
#ifndef IMAGE_PACK_H
#define IMAGE_PACK_H

#include "image/image.h"
#include "util/diag.h"

#include <stdint.h>

struct pack {
	const struct image *kernel; /* of image_open_whole() */
	int initrd_fd;              /* or -1 */
	uint64_t initrd_size;
	const char *cmdline; /* or NULL */
};

/* Write the ELF into fd, which is empty.  0, or -errno and the reason: -E2BIG the parts would end
 * above 3 GiB; -ENODATA a file became shorter meanwhile; errors of read and write.
 */
int pack_write(int fd, const struct pack *pack, struct diag *diag);

#endif
