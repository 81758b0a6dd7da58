/* SPDX-License-Identifier: MIT */
/* guest_mem_parts.h - what the files that make up guest RAM's module share */
#ifndef MEM_GUEST_MEM_PARTS_H
#define MEM_GUEST_MEM_PARTS_H

#include "mem/guest_mem.h"

/* Whether something may be a page of a file, which need not have been touched. */
static inline bool guest_mem_is_mapped(const struct guest_mem *mem, const uint8_t *hva)
{
	return (uintptr_t)hva >= mem->mapped_start && (uintptr_t)hva < mem->mapped_end;
}

/* Whether the guest did without the page at this place of the file of all RAM once. */
static inline bool guest_mem_was_given_back(const struct guest_mem *mem, uint64_t offset)
{
	uint64_t page = offset / GUEST_MEM_PAGE;

	return __atomic_load_n(&mem->given_back[page / 8], __ATOMIC_RELAXED) >> page % 8 & 1;
}

/* A bit for each page of the file of all RAM, of which the host takes memory as it is touched; all
 * 0.  NULL: there is no memory.
 */
uint8_t *guest_mem_create_bitmap(const struct guest_mem *mem);
void guest_mem_clear_bitmap(const struct guest_mem *mem, uint8_t *bitmap);
void guest_mem_free_bitmap(const struct guest_mem *mem, uint8_t *bitmap);
/* Set those of the pages [start, end), which are host addresses.  Any thread. */
void guest_mem_mark_pages(
	const struct guest_mem *mem, uint8_t *bitmap, uintptr_t start, uintptr_t end);

/* The guest did without the pages [start, end), which are made anew now, and so not watched. */
void guest_mem_watch_given_back(const struct guest_mem *mem, uintptr_t start, uintptr_t end);
/* RAM is gone. */
void guest_mem_watch_fini(struct guest_mem *mem);
/* Take what was written to a part of a region, and tell nobody. */
int guest_mem_take_piece(
	const struct guest_mem *mem, const struct mem_region *region, uint64_t from, uint64_t size);

#endif
