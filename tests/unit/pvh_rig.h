/* SPDX-License-Identifier: MIT */
/* pvh_rig.h - a guest's memory, CPUID and Xen for libpvh's core, all played by the test
 *
 * Guest-physical addresses from 0 to RIG_SIZE are within reach, no others.
 */
#ifndef TEST_PVH_RIG_H
#define TEST_PVH_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../guest/pvh/pvh.h"

#include <pvh/xen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#define RIG_SIZE        0x40000u
#define MAX_SIGNATURES  4
#define ARRAY_LENGTH(a) (sizeof(a) / sizeof((a)[0]))

struct signature {
	uint32_t base, last;
	const char *text; /* 12 bytes */
};

static struct {
	uint8_t *memory; /* of its own size exactly, so that AddressSanitizer sees a step beyond */
	struct signature signatures[MAX_SIGNATURES];

	/* Xen, as it behaves, and what it was asked for: an order of 'i' (init) and 'm' (map). */
	int init_result, map_result;
	const struct hvm_memmap_table_entry *xen_map;
	uint32_t n_xen_map;
	char calls[8];
	struct pvh_info at_init;
} rig;

void *pvh_phys(uint64_t paddr, uint64_t size)
{
	return paddr <= RIG_SIZE && size <= RIG_SIZE - paddr ? rig.memory + paddr : NULL;
}

void pvh_cpuid(uint32_t leaf, uint32_t regs[4])
{
	/* What some processors give for a leaf that they do not have: another one's. */
	regs[0] = 0x16;
	regs[1] = regs[2] = regs[3] = 0x12345678;
	for (unsigned int i = 0; i < MAX_SIGNATURES; i++) {
		const struct signature *s = &rig.signatures[i];

		if (s->text && s->base == leaf) {
			regs[0] = s->last;
			memcpy(&regs[1], s->text, 12);
		}
	}
}

static inline void rig_note_call(char what)
{
	size_t n = strlen(rig.calls);

	assert_true(n < sizeof(rig.calls) - 1);
	rig.calls[n] = what;
}

int pvh_xen_init(const struct pvh_info *info)
{
	rig_note_call('i');
	rig.at_init = *info;
	return rig.init_result;
}

int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	rig_note_call('m');
	if (rig.map_result)
		return rig.map_result;
	if (*n > rig.n_xen_map)
		*n = rig.n_xen_map;
	memcpy(out, rig.xen_map, *n * sizeof(*out));
	return 0;
}

static inline int rig_setup(void **state)
{
	(void)state;
	memset(&rig, 0, sizeof(rig));
	rig.memory = malloc(RIG_SIZE);
	if (!rig.memory)
		return -1;
	/* Not zero, so that what is not there does not pass for an end. */
	memset(rig.memory, 0xa5, RIG_SIZE);
	return 0;
}

static inline int rig_teardown(void **state)
{
	(void)state;
	free(rig.memory);
	return 0;
}

/* One after another, xorshift: the same in every run. */
static inline uint32_t rig_random(uint32_t below)
{
	static uint64_t x = 0x9e3779b97f4a7c15u;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return (uint32_t)(x >> 32) % below;
}

#endif
