// SPDX-License-Identifier: GPL-2.0 OR MIT
/* space.c - find free memory, and move things about in it */

#include "shim.h"

/* What firmware and VMMs leave lies below; the libraries' identity map ends above. */
#define LOWEST  0x100000u
#define HIGHEST 0xffffffffu

int shim_overlap(struct pvh_range a, struct pvh_range b)
{
	if (!a.size || !b.size)
		return 0;
	return a.addr <= b.addr ? b.addr - a.addr < a.size : a.addr - b.addr < b.size;
}

static const struct pvh_range *find_busy(
	struct pvh_range range, const struct pvh_range *busy, uint32_t n_busy)
{
	for (uint32_t i = 0; i < n_busy; i++)
		if (shim_overlap(range, busy[i]))
			return &busy[i];
	return 0;
}

/* The same in [from, last] alone.  Each turn goes on behind something busy, so there are few. */
static uint64_t find_within(uint64_t from, uint64_t last, const struct pvh_range *busy,
	uint32_t n_busy, const struct shim_want *want)
{
	while (from <= last) {
		struct pvh_range place = { (from + want->align - 1) & ~(want->align - 1),
			want->size };
		const struct pvh_range *hit;

		if (place.addr > last || want->size - 1 > last - place.addr)
			return 0;
		hit = find_busy(place, busy, n_busy);
		if (!hit)
			return place.addr;
		if (hit->size > last - hit->addr)
			return 0;
		from = hit->addr + hit->size;
	}
	return 0;
}

uint64_t shim_find(const struct pvh_info *info, const struct pvh_range *busy, uint32_t n_busy,
	const struct shim_want *want)
{
	uint64_t low = want->from > LOWEST ? want->from : LOWEST;
	uint64_t high = want->max < HIGHEST ? want->max : HIGHEST;

	if (!want->size || want->align > HIGHEST)
		return 0;
	for (uint32_t i = 0; i < info->n_regions; i++) {
		const struct hvm_memmap_table_entry *region = &info->regions[i];
		uint64_t from = region->addr > low ? region->addr : low;
		uint64_t last = region->addr + (region->size - 1);
		uint64_t found;

		if (region->type != PVH_MEMMAP_RAM)
			continue;
		found = find_within(from, last < high ? last : high, busy, n_busy, want);
		if (found)
			return found;
	}
	return 0;
}

static void copy_up(uint8_t *to, const uint8_t *from, uint64_t size)
{
	uint64_t words = size / 8, bytes = size % 8;

	__asm__ volatile("rep movsq" : "+D"(to), "+S"(from), "+c"(words) : : "memory");
	__asm__ volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(bytes) : : "memory");
}

/* From the end down, for a target that overlaps the source from above. */
static void copy_down(uint8_t *to, const uint8_t *from, uint64_t size)
{
	uint64_t word;

	for (; size % 8; size--)
		to[size - 1] = from[size - 1];
	for (; size; size -= 8) {
		__builtin_memcpy(&word, from + size - 8, 8);
		__builtin_memcpy(to + size - 8, &word, 8);
	}
}

void shim_copy(void *to, const void *from, uint64_t size)
{
	if ((uintptr_t)to - (uintptr_t)from < size)
		copy_down(to, from, size);
	else
		copy_up(to, from, size);
}
