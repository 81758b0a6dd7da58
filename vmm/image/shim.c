// SPDX-License-Identifier: MIT
/* shim.c - pvh-shim, opened as if it were a kernel file */

#include "image/shim.h"

#include "image/image.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>

void shim_range(uint64_t *start, uint64_t *end)
{
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;

	memcpy(&ehdr, shim_elf, sizeof(ehdr));
	*start = UINT64_MAX;
	*end = 0;
	for (unsigned int i = 0; i < ehdr.e_phnum; i++) {
		memcpy(&phdr, shim_elf + ehdr.e_phoff + i * sizeof(phdr), sizeof(phdr));
		if (phdr.p_type != PT_LOAD)
			continue;
		if (phdr.p_paddr < *start)
			*start = phdr.p_paddr;
		if (phdr.p_paddr + phdr.p_memsz > *end)
			*end = phdr.p_paddr + phdr.p_memsz;
	}
}

int image_open_shim(struct image *image, struct diag *diag)
{
	const size_t size = (size_t)(shim_elf_end - shim_elf);
	int ret;

	memset(image, 0, sizeof(*image));
	image->container = IMAGE_ELF;
	image->owned_file = true;
	image->size = size;
	image->fd = memfd_create("pvh-shim", MFD_CLOEXEC);
	if (image->fd < 0)
		return diag_fail(diag, errno, "no memory file for pvh-shim: %s", strerror(errno));
	ret = file_write_at(image->fd, shim_elf, size, 0);
	if (ret < 0)
		ret = diag_fail(diag, -ret, "pvh-shim cannot be written to a memory file: %s",
			strerror(-ret));
	else
		ret = elf_parse(&image->elf, image->fd, size, diag);
	if (ret < 0)
		image_close(image);
	return ret;
}
