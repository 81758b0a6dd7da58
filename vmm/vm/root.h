/* SPDX-License-Identifier: MIT */
/* root.h - what has a Linux guest take a directory of the host for its root file system
 *
 * An initramfs of our own: guest/init, the modules that the kernel needs to get there, and what the
 * operator wants done.
 */
#ifndef VM_ROOT_H
#define VM_ROOT_H

#include "config/config.h"
#include "image/image.h"
#include "util/diag.h"

#include <stdint.h>

/* Make the archive for config->root and this kernel, in a file in memory: its descriptor, owned by
 * the caller, and its size in bytes; or -errno and diag.
 */
int root_make_initrd(
	const struct config *config, const struct image *kernel, uint64_t *size, struct diag *diag);

#endif
