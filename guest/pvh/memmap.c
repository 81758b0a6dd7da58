// SPDX-License-Identifier: GPL-2.0 OR MIT
/* memmap.c - memory maps put in order
 *
 * The address space is walked upward, from one bound of an entry to the next.  Between two bounds
 * the same entries hold, and the greatest type among them wins: RAM, the least, yields to all. This
 * takes time in the square of the number of entries, which are some ten, and no memory.
 */

#include "pvh.h"

#ifdef CONFIG_PVH

/* Ends are exclusive, so the last byte of the address space belongs to no region; nor does
 * addr + size of a region ever wrap.
 */
#define END_OF_MEMORY UINT64_MAX

#define ENTRY_AT(field) __builtin_offsetof(struct hvm_memmap_table_entry, field)

struct span {
	uint64_t addr;
	uint64_t end;
	uint32_t type; /* 0: no entry is here */
};

struct output {
	struct hvm_memmap_table_entry *out;
	uint32_t room;
	uint32_t n;
	uint32_t n_lost;
	struct span last; /* not stored yet, as its neighbour may join it */
};

/* The entry may lie at any address, and in memory that the hypervisor goes on writing to: the fence
 * keeps the compiler from reading it again after it was looked at.
 */
static struct span entry_read(const struct hvm_memmap_table_entry *in, uint32_t i)
{
	const uint8_t *entry = (const uint8_t *)in + i * sizeof(*in);
	struct span span;
	uint64_t size;

	__builtin_memcpy(&span.addr, entry + ENTRY_AT(addr), sizeof(span.addr));
	__builtin_memcpy(&size, entry + ENTRY_AT(size), sizeof(size));
	__builtin_memcpy(&span.type, entry + ENTRY_AT(type), sizeof(span.type));
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	span.end = span.addr + size;
	if (span.end < span.addr)
		span.end = END_OF_MEMORY;
	/* ACPI takes a type that is not defined for reserved.  0 never will be. */
	if (!span.type)
		span.type = PVH_MEMMAP_RESERVED;
	return span;
}

/* What holds at pos, and up to which bound. */
static struct span span_at(const struct hvm_memmap_table_entry *in, uint32_t n, uint64_t pos)
{
	struct span span = { pos, END_OF_MEMORY, 0 };
	uint32_t i;

	for (i = 0; i < n; i++) {
		struct span entry = entry_read(in, i);

		if (entry.end <= pos)
			continue;
		if (entry.addr > pos) {
			if (entry.addr < span.end)
				span.end = entry.addr;
			continue;
		}
		if (entry.end < span.end)
			span.end = entry.end;
		if (entry.type > span.type)
			span.type = entry.type;
	}
	return span;
}

static void output_flush(struct output *output)
{
	struct hvm_memmap_table_entry *to;

	if (!output->last.type)
		return;
	if (output->n == output->room) {
		output->n_lost++;
		return;
	}
	to = &output->out[output->n++];
	to->addr = output->last.addr;
	to->size = output->last.end - output->last.addr;
	to->type = output->last.type;
	to->reserved = 0;
}

static void output_add(struct output *output, struct span span)
{
	if (span.type == output->last.type && span.addr == output->last.end) {
		output->last.end = span.end;
		return;
	}
	output_flush(output);
	output->last = span;
}

/* n entries have 2n bounds at most; counting them ends the walk even if the entries change. */
uint32_t pvh_memmap_sanitize(const struct hvm_memmap_table_entry *in, uint32_t n,
	struct hvm_memmap_table_entry *out, uint32_t *n_out)
{
	struct output output = { .out = out, .room = *n_out };
	uint64_t n_bounds = 2 * (uint64_t)n;
	uint64_t pos = 0;

	for (;;) {
		struct span span = span_at(in, n, pos);

		output_add(&output, span);
		pos = span.end;
		if (pos == END_OF_MEMORY || !n_bounds--)
			break;
	}
	output_flush(&output);
	*n_out = output.n;
	return output.n_lost;
}

/* Neighbours are joined, so a range of RAM lies in one region. */
int pvh_memmap_is_ram(const struct pvh_info *info, struct pvh_range range)
{
	uint32_t i;

	for (i = 0; i < info->n_regions; i++) {
		const struct hvm_memmap_table_entry *region = &info->regions[i];

		if (region->type == PVH_MEMMAP_RAM && range.addr >= region->addr &&
			range.size <= region->size &&
			range.addr - region->addr <= region->size - range.size)
			return 1;
	}
	return 0;
}

#endif /* CONFIG_PVH */
