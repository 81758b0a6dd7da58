// SPDX-License-Identifier: MIT
/* elf_span.c - how much of an ELF file is for loading, told by its beginning */

#include "image/elf_span.h"

#include "image/elf_file.h"
#include "util/bits.h"
#include "util/file.h"

#include <errno.h>

/* Move *end up to that of a range, if this is one. */
static bool reach(uint64_t *end, uint64_t offset, uint64_t size)
{
	uint64_t other;

	if (__builtin_add_overflow(offset, size, &other))
		return false;
	if (other > *end)
		*end = other;
	return true;
}

static int find_segments(struct elf_span *span, struct elf_file *file, struct diag *diag)
{
	Elf64_Phdr phdr;

	for (unsigned int i = 0; i < file->header.e_phnum; i++) {
		if (!elf_file_phdr(file, i, &phdr))
			return diag_fail(diag, ENOEXEC,
				"program header %u cannot be read: it is damaged", i);
		if (phdr.p_type == PT_LOAD && phdr.p_filesz &&
			!reach(&span->end, phdr.p_offset, phdr.p_filesz))
			return diag_fail(
				diag, ENOEXEC, "segment %u lies beyond any file: it is damaged", i);
	}
	return 0;
}

static void find_notes(struct elf_span *span, struct elf_file *file, uint64_t limit)
{
	Elf64_Phdr phdr;

	for (unsigned int i = 0; i < file->header.e_phnum; i++)
		if (elf_file_phdr(file, i, &phdr) && phdr.p_type == PT_NOTE &&
			range_within(phdr.p_offset, phdr.p_filesz, 0, limit))
			reach(&span->end, phdr.p_offset, phdr.p_filesz);
}

static void find_sections(struct elf_span *span, const struct elf_file *file, uint64_t limit)
{
	const Elf64_Ehdr *header = &file->header;
	uint64_t size = (uint64_t)header->e_shnum * header->e_shentsize;

	if (!header->e_shoff || !size)
		return;
	if (range_within(header->e_shoff, size, 0, limit))
		reach(&span->end, header->e_shoff, size);
	else
		span->leaves_sections = true;
}

int elf_span_find(struct elf_span *span, int fd, uint64_t size, uint64_t slack, struct diag *diag)
{
	struct elf_file file;
	uint64_t limit;
	int ret = elf_file_init(&file, fd, size, diag);

	if (ret < 0)
		return ret;
	/* elf_file_init() has seen that they lie in the file. */
	*span = (struct elf_span){ .end = file.header.e_phoff +
		                          (uint64_t)file.header.e_phnum * file.header.e_phentsize };
	ret = find_segments(span, &file, diag);
	if (ret < 0)
		return ret;
	if (__builtin_add_overflow(span->end, slack, &limit))
		limit = UINT64_MAX;
	find_notes(span, &file, limit);
	find_sections(span, &file, limit);
	return 0;
}

/* Both classes have the three fields, at places of their own. */
int elf_span_drop_sections(int fd)
{
	Elf64_Ehdr wide;
	Elf32_Ehdr narrow;
	int ret = file_read_at(fd, &wide, sizeof(wide), 0);

	if (ret < 0)
		return ret;
	if (wide.e_ident[EI_CLASS] == ELFCLASS64) {
		wide.e_shoff = 0;
		wide.e_shnum = wide.e_shstrndx = 0;
		return file_write_at(fd, &wide, sizeof(wide), 0);
	}
	ret = file_read_at(fd, &narrow, sizeof(narrow), 0);
	narrow.e_shoff = 0;
	narrow.e_shnum = narrow.e_shstrndx = 0;
	return ret < 0 ? ret : file_write_at(fd, &narrow, sizeof(narrow), 0);
}
