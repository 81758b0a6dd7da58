// SPDX-License-Identifier: MIT
/* guest_mem_fetch.c - guest RAM whose pages another process brings */

#include "mem/fault_fd.h"
#include "mem/guest_mem_parts.h"
#include "mem/guest_mem_watch.h"
#include "mem/pagemap.h"

#include <errno.h>
#include <unistd.h>

#define IS_HERE (PAGE_PRESENT | PAGE_SWAPPED)

#define PIECE_PAGES 512u

void guest_mem_stop_serving(const struct guest_mem *mem)
{
	for (size_t i = 0; i < mem->n_regions; i++)
		fault_fd_unregister(mem->fault_fd, mem->region[i].hva, mem->region[i].size);
}

/* To read it is to wait for it.  Without a pagemap all are read. */
static int fetch_piece(const struct guest_mem *mem, int pagemap, const struct mem_region *region,
	uint64_t at, size_t n)
{
	uint64_t entry[PIECE_PAGES] = { 0 };
	const uint8_t *hva = region->hva + at;
	int ret = pagemap < 0 ? 0 : pagemap_read(pagemap, hva, entry, n);

	for (size_t i = 0; i < n && !ret; i++)
		if (!(entry[i] & IS_HERE) &&
			!guest_mem_was_given_back(mem, region->offset + at + i * GUEST_MEM_PAGE))
			(void)*(const volatile uint8_t *)(hva + i * GUEST_MEM_PAGE);
	return ret;
}

static int fetch_region(const struct guest_mem *mem, int pagemap, const struct mem_region *region,
	const atomic_bool *stop)
{
	uint64_t n_pages = region->size / GUEST_MEM_PAGE;
	int ret = 0;

	for (uint64_t page = 0, n; page < n_pages && !ret; page += n) {
		n = n_pages - page < PIECE_PAGES ? n_pages - page : PIECE_PAGES;
		ret = atomic_load(stop)
		              ? -ECANCELED
		              : fetch_piece(mem, pagemap, region, page * GUEST_MEM_PAGE, n);
	}
	return ret;
}

int guest_mem_fetch(const struct guest_mem *mem, const atomic_bool *stop)
{
	int ret = 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = fetch_region(mem, guest_mem_pagemap(mem), &mem->region[i], stop);
	return ret;
}
