// SPDX-License-Identifier: MIT
/* place.c - decide where in guest RAM the kernel and the modules go */

#include "boot/place.h"
#include "boot/layout.h"

#include <errno.h>
#include <inttypes.h>

#define PAGE         4096u
#define HANDOVER_END (LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE)

/* [start, end), not empty */
struct range {
	uint64_t start, end;
};

static const struct range page_zero = { 0, PAGE };
static const struct range handover = { LAYOUT_START_INFO, HANDOVER_END };

static bool overlap(struct range a, struct range b)
{
	return a.start < b.end && b.start < a.end;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t max_u64(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* The highest multiple of align in [window.start, window.end) such that `size` bytes from there
 * stay in the window and touch nothing of `taken`; 0 if there is none.
 */
static uint64_t fit_window(struct range window, uint64_t size, uint64_t align,
	const struct range *taken, size_t n_taken)
{
	uint64_t end = window.end;

	while (end > window.start && size <= end - window.start) {
		struct range found = { ALIGN_DOWN(end - size, align), 0 };
		size_t i = 0;

		if (found.start < window.start)
			return 0;
		found.end = found.start + size;
		while (i < n_taken && !overlap(found, taken[i]))
			i++;
		if (i == n_taken)
			return found.start;
		end = taken[i].start;
	}
	return 0;
}

/* The same over all RAM in `limits`, from the top down. */
static uint64_t fit_ram(const struct memmap *map, struct range limits, uint64_t size,
	uint64_t align, const struct range *taken, size_t n_taken)
{
	for (uint32_t i = map->n_entries; i-- > 0;) {
		const struct hvm_memmap_table_entry *entry = &map->entry[i];
		struct range window = {
			max_u64(entry->addr, limits.start),
			min_u64(entry->addr + entry->size, limits.end),
		};
		uint64_t start;

		if (entry->type != PVH_MEMMAP_RAM || window.start >= window.end)
			continue;
		start = fit_window(window, size, align, taken, n_taken);
		if (start)
			return start;
	}
	return 0;
}

static struct range segment_range(const struct elf_segment *segment, int64_t offset)
{
	gpa_t gpa = place_segment_gpa(segment, offset);

	return (struct range){ gpa, gpa + segment->mem_size };
}

/* In RAM, or behind the tables: that is reserved, so that the guest does not take it for something
 * else, but a kernel linked to it finds nothing in its way.
 */
static bool has_place(const struct memmap *map, struct range segment)
{
	if (segment.start >= map->tables_end && segment.start < LAYOUT_HIGH_RAM) {
		if (segment.end <= LAYOUT_HIGH_RAM)
			return true;
		segment.start = LAYOUT_HIGH_RAM;
	}
	return memmap_is_ram(map, segment.start, segment.end - segment.start) &&
	       !overlap(segment, handover);
}

/* The first segment that cannot lie where it was linked to, or NULL. */
static const struct elf_segment *find_misfit(const struct memmap *map, const struct elf_image *elf)
{
	for (size_t i = 0; i < elf->n_segments; i++)
		if (!has_place(map, segment_range(&elf->segment[i], 0)))
			return &elf->segment[i];
	return NULL;
}

static uint64_t in_mib(uint64_t size)
{
	return size / MIB(1) + (size % MIB(1) != 0);
}

/* Say why the segment cannot lie there, and what would help if more memory does not. */
static int refuse_segment(const struct memmap *map, struct range segment, struct diag *diag)
{
	const struct {
		struct range range;
		const char *name;
	} area[] = {
		{ { LAYOUT_START_INFO, HANDOVER_END }, "the start info and the command line" },
		{ { LAYOUT_LOW_RAM_END, LAYOUT_ACPI }, "the hole below 1 MiB" },
		{ { LAYOUT_ACPI, map->tables_end }, "the ACPI tables" },
		{ { GUEST_MEM_LOW_MAX, GUEST_MEM_HIGH_BASE }, "the device hole" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(area); i++)
		if (overlap(segment, area[i].range))
			return diag_fail(diag, ENOEXEC,
				"the kernel's segment [%#" PRIx64 ", %#" PRIx64
				") overlaps %s at [%#" PRIx64 ", %#" PRIx64
				"): link it elsewhere, best from 1 MiB upwards",
				segment.start, segment.end, area[i].name, area[i].range.start,
				area[i].range.end);
	return diag_fail(diag, ENOSPC,
		"the kernel's segment [%#" PRIx64 ", %#" PRIx64 ") lies outside the guest's RAM",
		segment.start, segment.end);
}

static int refuse_image(const struct elf_image *elf, struct diag *diag)
{
	return diag_fail(diag, ENOSPC,
		"the kernel, %" PRIu64 "M from %#" PRIx64
		" on, has no place in the guest's RAM, neither there nor in [%#" PRIx64
		", %#" PRIx64 "], where its PHYS32_RELOC note lets it be moved",
		in_mib(elf->end - elf->start), elf->start, elf->reloc.min, elf->reloc.max);
}

int place_kernel(
	const struct memmap *map, const struct elf_image *elf, int64_t *offset, struct diag *diag)
{
	const struct range taken[] = { page_zero, handover };
	const struct elf_segment *misfit = find_misfit(map, elf);
	struct range limits;
	uint64_t start;

	*offset = 0;
	if (!misfit)
		return 0;
	if (!elf->has_reloc)
		return refuse_segment(map, segment_range(misfit, 0), diag);
	/* The entry point is a 32-bit address, so the image stays below 4 GiB. */
	limits.start = elf->reloc.min;
	limits.end = min_u64(elf->reloc.max, UINT32_MAX) + 1;
	start = fit_ram(
		map, limits, elf->end - elf->start, elf->reloc.align, taken, ARRAY_SIZE(taken));
	if (!start)
		return refuse_image(elf, diag);
	*offset = (int64_t)(start - elf->start);
	return 0;
}

bool place_is_taken(const struct place_taken *taken, gpa_t gpa, uint64_t size)
{
	for (size_t i = 0; i < taken->elf->n_segments; i++)
		if (overlap(segment_range(&taken->elf->segment[i], taken->offset),
			    (struct range){ gpa, gpa + size }))
			return true;
	return false;
}

/* Below 1 GiB if it fits there, as some kernels' first page tables reach no further; then below
 * 3 GiB; then above 4 GiB, if it may.
 */
static gpa_t fit_module(const struct memmap *map, uint64_t size, bool anywhere,
	const struct range *used, size_t n_used)
{
	static const struct range windows[] = { { LAYOUT_HIGH_RAM, GIB(1) },
		{ LAYOUT_HIGH_RAM, GUEST_MEM_LOW_MAX }, { GUEST_MEM_HIGH_BASE, UINT64_MAX } };
	gpa_t gpa = 0;

	for (size_t i = 0; !gpa && i < ARRAY_SIZE(windows) - !anywhere; i++)
		gpa = fit_ram(map, windows[i], size, PAGE, used, n_used);
	return gpa;
}

int place_module(const struct memmap *map, const struct place_taken *taken, const char *name,
	uint64_t size, bool anywhere, gpa_t *gpa, struct diag *diag)
{
	const struct elf_image *elf = taken->elf;
	struct range used[ELF_MAX_SEGMENTS + PLACE_MAX_MODULES + 1];
	uint64_t ram = memmap_ram(map);
	size_t n = 0;

	for (size_t i = 0; i < elf->n_segments; i++)
		used[n++] = segment_range(&elf->segment[i], taken->offset);
	for (size_t i = 0; i < taken->n_modules; i++)
		used[n++] = (struct range){ taken->module[i].paddr,
			ALIGN_UP(taken->module[i].paddr + taken->module[i].size, PAGE) };
	*gpa = 0;
	/* Whole pages: Linux frees the last page with the rest. */
	if (size <= ram) {
		used[n] = (struct range){ taken->room_start, taken->room_end };
		*gpa = fit_module(map, ALIGN_UP(size, PAGE), anywhere, used,
			n + (taken->room_end > taken->room_start));
		/* What lies in its room the kernel has to move first. */
		if (!*gpa)
			*gpa = fit_module(map, ALIGN_UP(size, PAGE), anywhere, used, n);
	}
	if (*gpa)
		return 0;
	return diag_fail(diag, ENOSPC,
		"the %s of %" PRIu64 "M does not fit beside the kernel's %" PRIu64 "M%s in %" PRIu64
		"M of memory",
		name, in_mib(size), in_mib(elf->end - elf->start),
		anywhere || ram <= GUEST_MEM_LOW_MAX ? "" : " below 3 GiB", in_mib(ram));
}
