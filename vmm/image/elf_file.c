// SPDX-License-Identifier: MIT
/* elf_file.c - the headers of an ELF file, of either class, read as those of ELF64 */

#include "image/elf_file.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* More than any linker script makes; it bounds the work on a hostile file. */
#define MAX_PHDRS 512

#define WIDEN(to, from, field) ((to)->field = (from)->field)

static void widen_ehdr(Elf64_Ehdr *to, const Elf32_Ehdr *from)
{
	memcpy(to->e_ident, from->e_ident, sizeof(to->e_ident));
	WIDEN(to, from, e_type);
	WIDEN(to, from, e_machine);
	WIDEN(to, from, e_version);
	WIDEN(to, from, e_entry);
	WIDEN(to, from, e_phoff);
	WIDEN(to, from, e_shoff);
	WIDEN(to, from, e_flags);
	WIDEN(to, from, e_ehsize);
	WIDEN(to, from, e_phentsize);
	WIDEN(to, from, e_phnum);
	WIDEN(to, from, e_shentsize);
	WIDEN(to, from, e_shnum);
	WIDEN(to, from, e_shstrndx);
}

static void widen_phdr(Elf64_Phdr *to, const Elf32_Phdr *from)
{
	WIDEN(to, from, p_type);
	WIDEN(to, from, p_flags);
	WIDEN(to, from, p_offset);
	WIDEN(to, from, p_vaddr);
	WIDEN(to, from, p_paddr);
	WIDEN(to, from, p_filesz);
	WIDEN(to, from, p_memsz);
	WIDEN(to, from, p_align);
}

static void widen_shdr(Elf64_Shdr *to, const Elf32_Shdr *from)
{
	WIDEN(to, from, sh_name);
	WIDEN(to, from, sh_type);
	WIDEN(to, from, sh_flags);
	WIDEN(to, from, sh_addr);
	WIDEN(to, from, sh_offset);
	WIDEN(to, from, sh_size);
	WIDEN(to, from, sh_link);
	WIDEN(to, from, sh_info);
	WIDEN(to, from, sh_addralign);
	WIDEN(to, from, sh_entsize);
}

/* Copy n bytes of the file, or false. */
static bool copy_out(struct elf_file *file, void *to, uint64_t offset, size_t n)
{
	const void *from = file_window_at(&file->window, offset, n);

	if (from)
		memcpy(to, from, n);
	return from;
}

/* Header i of a table, or false. */
static bool copy_entry(
	struct elf_file *file, void *to, uint64_t table, unsigned int i, size_t entry_size)
{
	uint64_t offset;

	return !__builtin_add_overflow(table, (uint64_t)i * entry_size, &offset) &&
	       copy_out(file, to, offset, entry_size);
}

bool elf_file_phdr(struct elf_file *file, unsigned int i, Elf64_Phdr *phdr)
{
	Elf32_Phdr narrow;

	if (file->is_64)
		return copy_entry(file, phdr, file->header.e_phoff, i, sizeof(*phdr));
	if (!copy_entry(file, &narrow, file->header.e_phoff, i, sizeof(narrow)))
		return false;
	widen_phdr(phdr, &narrow);
	return true;
}

bool elf_file_shdr(struct elf_file *file, unsigned int i, Elf64_Shdr *shdr)
{
	Elf32_Shdr narrow;

	if (file->is_64)
		return copy_entry(file, shdr, file->header.e_shoff, i, sizeof(*shdr));
	if (!copy_entry(file, &narrow, file->header.e_shoff, i, sizeof(narrow)))
		return false;
	widen_shdr(shdr, &narrow);
	return true;
}

static int check_ident(const unsigned char *ident, struct diag *diag)
{
	if (memcmp(ident, ELFMAG, SELFMAG))
		return diag_fail(diag, ENOEXEC, "it is not an ELF file");
	if (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64)
		return diag_fail(diag, ENOEXEC,
			"its ELF class is %u: only 32-bit (1) and 64-bit (2) exist",
			ident[EI_CLASS]);
	if (ident[EI_DATA] == ELFDATA2MSB)
		return diag_fail(
			diag, ENOEXEC, "it is a big-endian ELF: give a kernel built for x86");
	if (ident[EI_DATA] != ELFDATA2LSB)
		return diag_fail(diag, ENOEXEC, "its ELF byte order is %u, which does not exist",
			ident[EI_DATA]);
	if (ident[EI_VERSION] != EV_CURRENT)
		return diag_fail(
			diag, ENOEXEC, "its ELF version is %u: only 1 exists", ident[EI_VERSION]);
	return 0;
}

static const char *type_name(unsigned int type)
{
	switch (type) {
	case ET_REL: return "a relocatable object (a .o or a kernel module)";
	case ET_CORE: return "a core dump";
	default: return "of unknown type";
	}
}

/* A PVH entry is entered in 32-bit mode whatever the class, and there are kernels of each class for
 * either machine: XTF's hvm64 is an ELF32 for x86-64, EDK2's CLOUDHV.fd an ELF64 for i386.
 */
static int check_kind(const struct elf_file *file, struct diag *diag)
{
	const Elf64_Ehdr *header = &file->header;

	if (header->e_machine != EM_386 && header->e_machine != EM_X86_64)
		return diag_fail(diag, ENOEXEC,
			"it is a %s-bit ELF for machine %u: give a kernel built for x86 (machine %u or %u)",
			file->is_64 ? "64" : "32", header->e_machine, EM_386, EM_X86_64);
	if (header->e_type != ET_EXEC && header->e_type != ET_DYN)
		return diag_fail(diag, ENOEXEC, "it is an ELF file, but %s (%u), not a kernel",
			type_name(header->e_type), header->e_type);
	return 0;
}

static int check_phdrs(const struct elf_file *file, struct diag *diag)
{
	const Elf64_Ehdr *header = &file->header;
	size_t entry_size = file->is_64 ? sizeof(Elf64_Phdr) : sizeof(Elf32_Phdr);

	if (!header->e_phnum || !header->e_phoff)
		return diag_fail(diag, ENOEXEC,
			"it has no program headers, so nothing says what to load: was it linked?");
	if (header->e_phentsize != entry_size)
		return diag_fail(diag, ENOEXEC,
			"its program headers are said to have %u bytes each instead of %zu",
			header->e_phentsize, entry_size);
	if (header->e_phnum > MAX_PHDRS)
		return diag_fail(diag, ENOEXEC, "it has %u program headers: at most %u are read",
			header->e_phnum, MAX_PHDRS);
	if (!range_within(header->e_phoff, header->e_phnum * entry_size, 0, file->window.size))
		return diag_fail(diag, ENOEXEC,
			"it is truncated: %u program headers at offset %" PRIu64
			" do not fit its %" PRIu64 " bytes",
			header->e_phnum, header->e_phoff, file->window.size);
	return 0;
}

static int truncated_header(const struct elf_file *file, size_t need, struct diag *diag)
{
	if (file->window.err)
		return diag_fail(diag, -file->window.err, "cannot be read: %s",
			error_text(-file->window.err));
	return diag_fail(diag, ENOEXEC,
		"it is truncated: the ELF header needs %zu bytes and the file has %" PRIu64, need,
		file->window.size);
}

int elf_file_init(struct elf_file *file, int fd, uint64_t size, struct diag *diag)
{
	unsigned char ident[EI_NIDENT];
	Elf32_Ehdr narrow;
	int ret;

	file_window_init(&file->window, fd, size);
	if (!copy_out(file, ident, 0, sizeof(ident)))
		return truncated_header(file, sizeof(narrow), diag);
	ret = check_ident(ident, diag);
	if (ret < 0)
		return ret;
	file->is_64 = ident[EI_CLASS] == ELFCLASS64;
	if (file->is_64) {
		if (!copy_out(file, &file->header, 0, sizeof(file->header)))
			return truncated_header(file, sizeof(file->header), diag);
	} else {
		if (!copy_out(file, &narrow, 0, sizeof(narrow)))
			return truncated_header(file, sizeof(narrow), diag);
		widen_ehdr(&file->header, &narrow);
	}
	ret = check_kind(file, diag);
	if (ret < 0)
		return ret;
	return check_phdrs(file, diag);
}
