// SPDX-License-Identifier: MIT
/* shim.c - the bytes of pvh-shim.elf, built from guest/shim */

#include "image/shim.h"

#include "util/error.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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

int shim_open(uint64_t *size, struct diag *diag)
{
	int fd = memfd_create("pvh-shim", MFD_CLOEXEC), ret;

	*size = (uint64_t)(shim_elf_end - shim_elf);
	if (fd < 0)
		return diag_fail(diag, errno, "no memory file for pvh-shim: %s", error_text(errno));
	ret = file_write_at(fd, shim_elf, *size, 0);
	if (!ret)
		return fd;
	close(fd);
	return diag_fail(
		diag, -ret, "pvh-shim cannot be written to a memory file: %s", error_text(-ret));
}
