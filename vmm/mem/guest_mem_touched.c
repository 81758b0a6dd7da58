// SPDX-License-Identifier: MIT
/* guest_mem_touched.c - which pages of RAM that is a private map of a file were touched, and to
 * have such pages touched ahead
 */

#include "mem/guest_mem_touched.h"

#include "mem/pagemap.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/mman.h>

#define PIECE_PAGES 512u
#define MORE_RUNS   4096u

/* Linux 5.14. */
#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ  22
#define MADV_POPULATE_WRITE 23
#endif

struct touched {
	struct touched_run *run;
	size_t n, room;
};

static int add_page(struct touched *touched, uint64_t offset, bool is_written)
{
	struct touched_run *last = touched->n ? &touched->run[touched->n - 1] : NULL;

	if (last && last->offset + last->size == offset && last->is_written == is_written) {
		last->size += GUEST_MEM_PAGE;
		return 0;
	}
	if (touched->n == touched->room) {
		struct touched_run *more = reallocarray(
			touched->run, touched->room + MORE_RUNS, sizeof(*touched->run));

		if (!more)
			return -ENOMEM;
		touched->run = more;
		touched->room += MORE_RUNS;
	}
	touched->run[touched->n++] = (struct touched_run){ offset, GUEST_MEM_PAGE, is_written };
	return 0;
}

static int add_region(struct touched *touched, const struct mem_region *region, int pagemap)
{
	uint64_t entry[PIECE_PAGES], n_pages = region->size / GUEST_MEM_PAGE, page = 0;
	int ret = 0;

	while (page < n_pages && !ret) {
		size_t n = n_pages - page < PIECE_PAGES ? n_pages - page : PIECE_PAGES;

		ret = pagemap_read(pagemap, region->hva + page * GUEST_MEM_PAGE, entry, n);
		for (size_t i = 0; i < n && !ret; i++)
			if (entry[i] & (PAGE_PRESENT | PAGE_SWAPPED))
				ret = add_page(touched,
					region->offset + (page + i) * GUEST_MEM_PAGE,
					!(entry[i] & PAGE_OF_FILE));
		page += n;
	}
	return ret;
}

int64_t guest_mem_touched(const struct guest_mem *mem, int pagemap, struct touched_run **runs)
{
	struct touched touched = { 0 };
	int ret = 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = add_region(&touched, &mem->region[i], pagemap);
	if (ret) {
		free(touched.run);
		return ret;
	}
	*runs = touched.run;
	return (int64_t)touched.n;
}

/* NULL: it lies in no region. */
static void *hva_of(const struct guest_mem *mem, const struct touched_run *run)
{
	for (size_t i = 0; i < mem->n_regions; i++) {
		const struct mem_region *region = &mem->region[i];

		if (range_within(run->offset, run->size, region->offset, region->size))
			return region->hva + (run->offset - region->offset);
	}
	return NULL;
}

void guest_mem_touch(const struct guest_mem *mem, const struct touched_run *run)
{
	void *hva = hva_of(mem, run);

	if (hva)
		madvise(hva, run->size, run->is_written ? MADV_POPULATE_WRITE : MADV_POPULATE_READ);
}

void guest_mem_announce(const struct guest_mem *mem, const struct touched_run *run)
{
	void *hva = hva_of(mem, run);

	if (hva)
		madvise(hva, run->size, MADV_WILLNEED);
}
