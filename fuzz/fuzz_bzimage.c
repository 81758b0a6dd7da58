// SPDX-License-Identifier: MIT
/* fuzz_bzimage.c - any kernel file, from its container to the unpacked ELF */

#include "image/apart.h"
#include "image/image.h"
#include "util/bits.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int __wrap_apart_unpack(apart_work work, enum image_compression compression, struct unpack_job *job,
	struct diag *diag);

/* In this process, which is watched. */
int __wrap_apart_unpack(apart_work work, enum image_compression compression, struct unpack_job *job,
	struct diag *diag)
{
	return work(compression, job, diag);
}

static void check_image(const struct image *image)
{
	char version[64];

	BUG_ON(image->fd < 0);
	BUG_ON(image->kind.container == IMAGE_UNKNOWN || image->kind.compression == IMAGE_LZO);
	BUG_ON(image->owned_file != (image->kind.container != IMAGE_ELF));
	BUG_ON(lseek(image->fd, 0, SEEK_END) != (off_t)image->size);
	BUG_ON(image->owned_file && image->size > IMAGE_MAX_FILE);
	for (size_t i = 0; i < image->elf.n_segments; i++)
		BUG_ON(!range_within(image->elf.segment[i].offset, image->elf.segment[i].file_size,
			0, image->size));
	image_find_version(image, version, sizeof(version));
	image_is_linux(image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int fd = -1;
	struct diag diag = { "" };
	struct image image;
	char path[32];

	if (fd < 0)
		fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (ftruncate(fd, 0) || pwrite(fd, data, size, 0) != (ssize_t)size)
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	if (image_open(&image, path, false, &diag)) {
		BUG_ON(!diag.text[0] || image.fd != -1);
		return 0;
	}
	check_image(&image);
	image_close(&image);
	return 0;
}
