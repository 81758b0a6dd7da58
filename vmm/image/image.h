/* SPDX-License-Identifier: MIT */
/* image.h - kernel files: from a path to a checked ELF image
 *
 * A kernel file is hostile input.  Whatever its container (ELF, bzImage, or a compressed ELF), the
 * result is an open file that holds an uncompressed ELF, and a struct elf_image in which every
 * offset, size and address has been checked against the file and against each other.  Nothing here
 * touches guest memory or KVM.  Not thread-safe per object.
 */
#ifndef IMAGE_IMAGE_H
#define IMAGE_IMAGE_H

#include "image/elf.h"
#include "image/identify.h"
#include "util/bits.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct image {
	int fd;            /* the ELF, for reading; owned */
	uint64_t size;     /* bytes of the ELF */
	bool owned_file;   /* the file is ours (cache entry or unnamed): nobody rewrites it, so its
	                      pages may be mapped */
	bool from_cache;   /* found unpacked in the cache */
	bool others_write; /* not to be cached, as others than we and root can write to the file */
	bool needs_shim;   /* 64-bit Linux that cannot be entered by PVH, but through pvh-shim */
	struct image_kind kind;
	struct elf_image elf;    /* all zero for a bzImage that is left whole */
	struct diag cache_fault; /* why the cache is of no use, for a warning; "": it is */
};

/* Open and check the kernel file at `path`; unpack if need be, through the cache unless !use_cache
 * or the environment has no place for one.  0, or -errno with the reason in `diag` (path not
 * included).  After a failure there is nothing to close, and kind and needs_shim tell what the file
 * was seen to be until then.  That a bzImage needs the shim may be all that the cache knows: then
 * there is no ELF, and fd is -1.
 */
int image_open(struct image *image, const char *path, bool use_cache, struct diag *diag);

/* Open it for pvh-shim, which takes a 64-bit Linux: a bzImage as it is, `size` bytes in `fd`, since
 * it unpacks itself in the guest; else the ELF, of which `size` leaves out what is not for loading.
 * Errors as above.
 */
int image_open_whole(struct image *image, const char *path, bool use_cache, struct diag *diag);

/* Read the plain ELF in fd (regular file of `size` bytes): headers, notes, and where its code is.
 * 0, or -ENOEXEC (or read's error) and diag.  One without a PVH entry is read, too: has_pvh_entry
 * is false.
 */
int image_read_elf(struct elf_image *elf, int fd, uint64_t size, struct diag *diag);

/* pvh-shim itself, which is built in. */
int image_open_shim(struct image *image, struct diag *diag);
void image_close(struct image *image);

/* elf_require_pvh_entry(); what has none and was not meant to have one is told what it is instead.
 */
int image_require_pvh_entry(const struct image *image, struct diag *diag);

/* The kernel is Linux, whose limits apply.  Told by the bzImage or a Xen note at no cost; else the
 * file is searched for Linux's banner, so ask only if it matters.
 */
bool image_is_linux(const struct image *image);

/* Linux's version string into `version`, from the header or by searching the file; "" if there is
 * none (false).
 */
bool image_find_version(const struct image *image, char *version, size_t size);

#endif
