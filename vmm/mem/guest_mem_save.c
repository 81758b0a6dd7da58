// SPDX-License-Identifier: MIT
/* guest_mem_save.c - guest RAM into a file
 *
 * Also for a process that was forked from one with several threads: system calls, and what is on
 * the stack, are all that there is.
 */

#include "mem/guest_mem_parts.h"
#include "mem/guest_mem_watch.h"
#include "mem/pagemap.h"
#include "util/file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define PIECE_PAGES \
	512u /* that are looked at together, and written together if nothing is left out */

struct saver {
	const struct guest_mem *mem;
	int fd;
	int pagemap; /* -1: there is none, and every page is read */
	bool only_changed;
	const atomic_bool *stop;     /* NULL: nobody writes to RAM, which is not watched */
	uint64_t data_end, hole_end; /* of the file that RAM is a map of: where it has data is known
	                                up to here */
};

static bool is_zero(const uint8_t *page)
{
	return !page[0] && !memcmp(page, page + 1, GUEST_MEM_PAGE - 1);
}

/* Whether the file of which RAM is a map has a hole there; each of them is asked for once. */
static bool is_hole(struct saver *saver, uint64_t offset)
{
	const struct guest_mem *mem = saver->mem;
	int fd = mem->is_shared ? mem->fd : mem->saved_fd;
	off_t at;

	if (fd < 0)
		return false;
	if (offset < saver->data_end)
		return false;
	if (offset < saver->hole_end)
		return true;
	at = lseek(fd, (off_t)offset, SEEK_DATA);
	saver->hole_end = at >= 0 ? (uint64_t)at : errno == ENXIO ? UINT64_MAX : offset;
	if (offset < saver->hole_end)
		return true;
	at = lseek(fd, (off_t)offset, SEEK_HOLE);
	saver->data_end = at > (off_t)offset ? (uint64_t)at : UINT64_MAX;
	return false;
}

/* Whether the page may be other than what a hole stands for; to read one that is not there would
 * have it made.
 */
static bool is_wanted(struct saver *saver, const uint8_t *hva, uint64_t offset, uint64_t entry)
{
	bool is_here = entry & (PAGE_PRESENT | PAGE_SWAPPED);

	if (saver->mem->is_shared)
		return !is_hole(saver, offset);
	if (is_here && !(entry & PAGE_OF_FILE))
		return true;
	if (saver->only_changed)
		return guest_mem_was_given_back(saver->mem, offset);
	return guest_mem_is_mapped(saver->mem, hva) && !is_hole(saver, offset);
}

static int read_pagemap(const struct saver *saver, const uint8_t *hva, uint64_t *entry, size_t n)
{
	if (saver->pagemap < 0) {
		for (size_t i = 0; i < n; i++)
			entry[i] = PAGE_PRESENT;
		return 0;
	}
	return pagemap_read(saver->pagemap, hva, entry, n);
}

/* Runs of pages that are there go in one call each. */
static int save_piece(struct saver *saver, const uint8_t *hva, uint64_t offset, size_t n)
{
	uint64_t entry[PIECE_PAGES];
	size_t start = 0, i;
	int ret = read_pagemap(saver, hva, entry, n);

	for (i = 0; i < n && !ret; i++) {
		const uint8_t *page = hva + i * GUEST_MEM_PAGE;
		uint64_t at = offset + i * GUEST_MEM_PAGE;

		if (is_wanted(saver, page, at, entry[i]) && (saver->only_changed || !is_zero(page)))
			continue;
		if (i > start)
			ret = file_write_at(saver->fd, hva + start * GUEST_MEM_PAGE,
				(i - start) * GUEST_MEM_PAGE, offset + start * GUEST_MEM_PAGE);
		start = i + 1;
	}
	if (!ret && i > start)
		ret = file_write_at(saver->fd, hva + start * GUEST_MEM_PAGE,
			(i - start) * GUEST_MEM_PAGE, offset + start * GUEST_MEM_PAGE);
	return ret;
}

/* Of RAM that is watched each piece is protected before it is read. */
static int save_region(struct saver *saver, const struct mem_region *region)
{
	uint64_t n_pages = region->size / GUEST_MEM_PAGE;
	int ret = 0;

	for (uint64_t page = 0, n; page < n_pages && !ret; page += n) {
		uint64_t at = page * GUEST_MEM_PAGE;

		n = n_pages - page < PIECE_PAGES ? n_pages - page : PIECE_PAGES;
		if (saver->stop)
			ret = atomic_load(saver->stop) ? -ECANCELED
			                               : guest_mem_take_piece(saver->mem, region,
								 at, n * GUEST_MEM_PAGE);
		if (!ret)
			ret = save_piece(saver, region->hva + at, region->offset + at, n);
	}
	return ret;
}

static int save(const struct guest_mem *mem, int fd, int pagemap, bool only_changed,
	const atomic_bool *stop)
{
	struct saver saver = {
		.mem = mem,
		.fd = fd,
		.stop = stop,
		.only_changed = only_changed && mem->saved_fd >= 0,
		.pagemap = pagemap,
	};
	int ret = ftruncate(fd, (off_t)guest_mem_size(mem)) ? -errno : 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = save_region(&saver, &mem->region[i]);
	return ret;
}

/* A forked process has another pagemap than its parent. */
int guest_mem_save(const struct guest_mem *mem, int fd, bool only_changed)
{
	int pagemap = pagemap_open(), ret = save(mem, fd, pagemap, only_changed, NULL);

	if (pagemap >= 0)
		close(pagemap);
	return ret;
}

int guest_mem_save_prepared(
	const struct guest_mem *mem, int fd, bool only_changed, const atomic_bool *stop)
{
	return save(mem, fd, guest_mem_pagemap(mem), only_changed, stop);
}

int mem_runs_save(const struct mem_runs *runs, const uint8_t *copy, int fd)
{
	int ret = 0;

	for (size_t i = 0; i < runs->n && !ret; i++) {
		const struct mem_run *run = &runs->run[i];

		ret = file_write_at(fd, copy ? copy : run->hva, run->size, run->offset);
		copy = copy ? copy + run->size : NULL;
	}
	return ret;
}

void mem_runs_copy(const struct mem_runs *runs, uint8_t *copy)
{
	for (size_t i = 0; i < runs->n; i++) {
		memcpy(copy, runs->run[i].hva, runs->run[i].size);
		copy += runs->run[i].size;
	}
}
