// SPDX-License-Identifier: MIT
/* pack.c - a kernel, its initrd and command line packed into pvh-shim */

#include "image/pack.h"

#include "image/shim.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <inttypes.h>
#include <pvh/pack.h>
#include <stdlib.h>
#include <string.h>

/* Headers first; then the shim's whole file, so that its segments keep their distances; then the
 * parts, each from a page of its own in the file and in memory.
 */
#define PAGE      4096u
#define MAX_PHDRS ((PAGE - sizeof(Elf64_Ehdr)) / sizeof(Elf64_Phdr))
#define TOP       GIB(3) /* machines have RAM up to there, if they have as much */

enum { KERNEL, INITRD, CMDLINE, N_PARTS };

struct part {
	const char *name;
	int fd;           /* or -1: */
	const void *data; /* then the bytes are here */
	uint64_t size;
	uint64_t gpa; /* where it is to lie */
};

struct writer {
	int fd;
	uint64_t pos; /* where the next part goes, a multiple of PAGE */
	Elf64_Ehdr ehdr;
	Elf64_Phdr phdr[MAX_PHDRS];
	struct part part[N_PARTS];
	uint8_t buf[64 << 10];
};

/* ---- writing ---- */

static int copy_part(struct writer *w, const struct part *part, struct diag *diag)
{
	int ret = 0;

	if (part->fd < 0)
		ret = file_write_at(w->fd, part->data, part->size, w->pos);
	for (uint64_t at = 0; part->fd >= 0 && at < part->size;) {
		size_t n = part->size - at < sizeof(w->buf) ? part->size - at : sizeof(w->buf);

		ret = file_read_at(part->fd, w->buf, n, at);
		if (ret < 0)
			return diag_fail(diag, -ret, "the %s: %s", part->name,
				ret == -ENODATA ? "it became shorter while it was read"
						: error_text(-ret));
		ret = file_write_at(w->fd, w->buf, n, w->pos + at);
		if (ret < 0)
			break;
		at += n;
	}
	return ret < 0 ? diag_fail(diag, -ret, "cannot be written: %s", error_text(-ret)) : 0;
}

static int add_part(struct writer *w, const struct part *part, struct diag *diag)
{
	int ret;

	if (!part->size)
		return 0;
	BUG_ON(w->ehdr.e_phnum >= MAX_PHDRS);
	w->phdr[w->ehdr.e_phnum++] = (Elf64_Phdr){
		.p_type = PT_LOAD,
		.p_flags = PF_R,
		.p_offset = w->pos,
		.p_vaddr = part->gpa,
		.p_paddr = part->gpa,
		.p_filesz = part->size,
		.p_memsz = part->size,
		.p_align = PAGE,
	};
	ret = copy_part(w, part, diag);
	w->pos = ALIGN_UP(w->pos + part->size, PAGE);
	return ret;
}

/* ---- the shim ---- */

/* The shim's headers, its segments one page further on in the file. */
static void take_shim_headers(struct writer *w)
{
	memcpy(&w->ehdr, shim_elf, sizeof(w->ehdr));
	BUG_ON(w->ehdr.e_phnum > MAX_PHDRS - N_PARTS);
	memcpy(w->phdr, shim_elf + w->ehdr.e_phoff, w->ehdr.e_phnum * sizeof(w->phdr[0]));
	w->ehdr.e_phoff = sizeof(w->ehdr);
	w->ehdr.e_shoff = 0;
	w->ehdr.e_shnum = 0;
	w->ehdr.e_shstrndx = 0;
	for (unsigned int i = 0; i < w->ehdr.e_phnum; i++)
		w->phdr[i].p_offset += PAGE;
}

/* Where in a note segment of the shim the descriptor of the pack note begins, or 0. */
static uint64_t find_pack_note(uint64_t offset, uint64_t end)
{
	while (offset + sizeof(Elf64_Nhdr) <= end) {
		const Elf64_Nhdr *note = (const Elf64_Nhdr *)(const void *)(shim_elf + offset);
		uint64_t name = offset + sizeof(*note), desc = name + ALIGN_UP(note->n_namesz, 4u);

		if (note->n_type == PVH_PACK_NOTE && note->n_namesz == sizeof(PVH_PACK_OWNER) &&
			!memcmp(shim_elf + name, PVH_PACK_OWNER, sizeof(PVH_PACK_OWNER)))
			return desc;
		offset = desc + ALIGN_UP(note->n_descsz, 4u);
	}
	return 0;
}

static int write_shim(struct writer *w, const struct pvh_pack *pack)
{
	uint64_t size = (uint64_t)(shim_elf_end - shim_elf), note = 0;
	int ret = file_write_at(w->fd, shim_elf, size, PAGE);

	for (unsigned int i = 0; i < w->ehdr.e_phnum && !note; i++)
		if (w->phdr[i].p_type == PT_NOTE)
			note = find_pack_note(w->phdr[i].p_offset - PAGE,
				w->phdr[i].p_offset - PAGE + w->phdr[i].p_filesz);
	BUG_ON(!note);
	if (!ret)
		ret = file_write_at(w->fd, pack, sizeof(*pack), PAGE + note);
	w->pos = PAGE + ALIGN_UP(size, PAGE);
	return ret;
}

/* ---- the whole ---- */

/* Behind the shim, one after the other; those of an ELF behind the place it is loaded to, so that
 * the shim need not move it out of its own way.
 */
static int place_parts(struct writer *w, const struct pack *pack, uint64_t start, uint64_t end,
	struct pvh_pack *told, struct diag *diag)
{
	struct pvh_pack_part *tell[N_PARTS] = { &told->kernel, &told->initrd, &told->cmdline };
	uint64_t gpa = end;

	if (pack->kernel->kind.container != IMAGE_BZIMAGE && pack->kernel->kind.room_end > end)
		gpa = pack->kernel->kind.room_end;
	for (unsigned int i = 0; i < N_PARTS; i++) {
		struct part *part = &w->part[i];

		gpa = ALIGN_UP(gpa, PAGE);
		if (gpa > TOP || part->size > TOP - gpa)
			return diag_fail(diag, E2BIG,
				"kernel and initrd would end above 3 GiB, and there need not be RAM");
		part->gpa = gpa;
		if (part->size)
			*tell[i] = (struct pvh_pack_part){ gpa - start, part->size };
		gpa += part->size;
	}
	return 0;
}

static int write_all(struct writer *w, const struct pack *pack, struct diag *diag)
{
	struct pvh_pack told = { 0 };
	uint64_t start, end;
	int ret;

	take_shim_headers(w);
	shim_range(&start, &end);
	ret = place_parts(w, pack, start, end, &told, diag);
	if (ret < 0)
		return ret;
	ret = write_shim(w, &told);
	if (ret < 0)
		return diag_fail(diag, -ret, "cannot be written: %s", error_text(-ret));
	for (unsigned int i = 0; i < N_PARTS; i++) {
		ret = add_part(w, &w->part[i], diag);
		if (ret < 0)
			return ret;
	}
	ret = file_write_at(w->fd, &w->ehdr, sizeof(w->ehdr), 0);
	if (!ret)
		ret = file_write_at(
			w->fd, w->phdr, w->ehdr.e_phnum * sizeof(w->phdr[0]), sizeof(w->ehdr));
	return ret < 0 ? diag_fail(diag, -ret, "cannot be written: %s", error_text(-ret)) : 0;
}

int pack_write(int fd, const struct pack *pack, struct diag *diag)
{
	const char *cmdline = pack->cmdline ? pack->cmdline : "";
	struct writer *w = calloc(1, sizeof(*w));
	int ret;

	if (!w)
		return diag_fail(diag, ENOMEM, "out of memory");
	w->fd = fd;
	w->part[KERNEL] = (struct part){ "kernel", pack->kernel->fd, NULL, pack->kernel->size, 0 };
	w->part[INITRD] = (struct part){ "initrd", pack->initrd_fd, NULL, pack->initrd_size, 0 };
	w->part[CMDLINE] = (struct part){ "command line", -1, cmdline, strlen(cmdline), 0 };
	ret = write_all(w, pack, diag);
	free(w);
	return ret;
}
