/* SPDX-License-Identifier: MIT */
/* elf_file.h - the headers of an ELF file, of either class, read as those of ELF64
 *
 * Inside image/ only.  Source: System V gABI.
 */
#ifndef IMAGE_ELF_FILE_H
#define IMAGE_ELF_FILE_H

#include "image/window.h"
#include "util/diag.h"

#include <elf.h>
#include <stdbool.h>
#include <stdint.h>

struct elf_file {
	struct file_window window;
	bool is_64;
	Elf64_Ehdr header;
};

/* Read and check the file header: magic, class, byte order, machine, type, and that the program
 * headers lie in the file.  0, or -errno and the reason.
 */
int elf_file_init(struct elf_file *file, int fd, uint64_t size, struct diag *diag);

/* Program header i < header.e_phnum, section header i < header.e_shnum.  False: not in the file. */
bool elf_file_phdr(struct elf_file *file, unsigned int i, Elf64_Phdr *phdr);
bool elf_file_shdr(struct elf_file *file, unsigned int i, Elf64_Shdr *shdr);

#endif
