// SPDX-License-Identifier: GPL-2.0 OR MIT
/* elf.c - a vmlinux for the 64-bit boot protocol: its e_entry is the address of startup_64 */

#include "shim.h"

#include <elf.h>

#define MAX_PHDRS   64u
#define HIGHEST     0xffffffffu
#define ANYWHERE    (~UINT64_C(0))
#define CMDLINE_MAX 2047u /* COMMAND_LINE_SIZE - 1 of Linux on x86 */

#define ALIGNMENT 0x200000u /* what a bzImage's header would say */

static int within(uint64_t offset, uint64_t size, uint64_t whole)
{
	return offset <= whole && size <= whole - offset;
}

int shim_elf_detect(const struct shim_kernel *kernel)
{
	return kernel->file.size >= sizeof(Elf64_Ehdr) &&
	       !__builtin_memcmp(kernel->data, ELFMAG, SELFMAG);
}

static const char *read_ehdr(const struct shim_kernel *kernel, Elf64_Ehdr *ehdr)
{
	__builtin_memcpy(ehdr, kernel->data, sizeof(*ehdr));
	if (ehdr->e_ident[EI_CLASS] != ELFCLASS64 || ehdr->e_ident[EI_DATA] != ELFDATA2LSB ||
		ehdr->e_machine != EM_X86_64)
		return "the kernel is no 64-bit ELF for x86";
	if (ehdr->e_type != ET_EXEC && ehdr->e_type != ET_DYN)
		return "the kernel is an ELF, but no program";
	if (!ehdr->e_phnum || ehdr->e_phnum > MAX_PHDRS ||
		ehdr->e_phentsize != sizeof(Elf64_Phdr) ||
		!within(ehdr->e_phoff, ehdr->e_phnum * sizeof(Elf64_Phdr), kernel->file.size))
		return "the kernel's program headers are damaged, or it is truncated";
	return 0;
}

/* Program header i; 0 if it loads nothing. */
static int read_segment(
	const struct shim_kernel *kernel, const Elf64_Ehdr *ehdr, uint32_t i, Elf64_Phdr *phdr)
{
	__builtin_memcpy(phdr, kernel->data + ehdr->e_phoff + i * sizeof(*phdr), sizeof(*phdr));
	return phdr->p_type == PT_LOAD && phdr->p_memsz;
}

static const char *check_segment(const struct shim_kernel *kernel, const Elf64_Phdr *phdr)
{
	if (phdr->p_filesz > phdr->p_memsz ||
		!within(phdr->p_offset, phdr->p_filesz, kernel->file.size))
		return "a segment of the kernel is damaged, or the kernel is truncated";
	if (phdr->p_paddr > HIGHEST || phdr->p_memsz - 1 > HIGHEST - phdr->p_paddr)
		return "a segment of the kernel lies above 4 GiB";
	return 0;
}

const char *shim_elf_parse(struct shim_kernel *kernel)
{
	uint64_t low = HIGHEST, last = 0;
	const char *problem;
	int has_entry = 0;
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;

	problem = read_ehdr(kernel, &ehdr);
	for (uint32_t i = 0; !problem && i < ehdr.e_phnum; i++) {
		if (!read_segment(kernel, &ehdr, i, &phdr))
			continue;
		problem = check_segment(kernel, &phdr);
		if (phdr.p_paddr < low)
			low = phdr.p_paddr;
		if (phdr.p_paddr + (phdr.p_memsz - 1) > last)
			last = phdr.p_paddr + (phdr.p_memsz - 1);
		has_entry |= ehdr.e_entry >= phdr.p_paddr &&
		             ehdr.e_entry - phdr.p_paddr < phdr.p_filesz;
	}
	if (problem)
		return problem;
	if (!has_entry)
		return "the kernel's entry lies outside of what it loads";
	kernel->is_elf = 1;
	kernel->want = (struct shim_want){
		.size = last - low + 1,
		.align = 1,
		.from = low,
		.max = last,
	};
	kernel->entry_offset = ehdr.e_entry - low;
	kernel->initrd_max = ANYWHERE;
	kernel->cmdline_max = CMDLINE_MAX;
	return 0;
}

const char *shim_elf_load(const struct shim_kernel *kernel, struct boot_params *params)
{
	const char *problem;
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr;

	problem = read_ehdr(kernel, &ehdr);
	for (uint32_t i = 0; !problem && i < ehdr.e_phnum; i++) {
		uint8_t *to;

		if (!read_segment(kernel, &ehdr, i, &phdr))
			continue;
		to = pvh_phys(phdr.p_paddr, phdr.p_memsz);
		if (!to)
			return "a segment of the kernel cannot be reached";
		shim_copy(to, kernel->data + phdr.p_offset, phdr.p_filesz);
		__builtin_memset(to + phdr.p_filesz, 0, phdr.p_memsz - phdr.p_filesz);
	}
	params->hdr.kernel_alignment = ALIGNMENT;
	return problem;
}
