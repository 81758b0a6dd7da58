/* SPDX-License-Identifier: MIT */
/* timeline.h - when the moments of a boot came
 *
 * Each moment is recorded once, the first time, by any thread; a moment already there costs one
 * load.
 */
#ifndef UTIL_TIMELINE_H
#define UTIL_TIMELINE_H

#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>

enum timeline_moment {
	TIMELINE_START,   /* main() was entered */
	TIMELINE_LOADED,  /* kernel, initrd and hand-over are in guest RAM */
	TIMELINE_GUEST,   /* the boot CPU enters the guest */
	TIMELINE_CONSOLE, /* the guest's first byte on its console */
	TIMELINE_MARK,    /* the guest's marks, by number: TIMELINE_MARK + n */
	TIMELINE_MARK_END = TIMELINE_MARK + 256,
	TIMELINE_END = TIMELINE_MARK_END, /* power-off, reset or crash */
	TIMELINE_N_MOMENTS,
};

/* A guest's mark 1 says "user space is reached". */
#define TIMELINE_MARK_USER 1

struct timeline {
	_Atomic uint64_t at_ns[TIMELINE_N_MOMENTS]; /* CLOCK_MONOTONIC; 0: not yet */
};

/* Nanoseconds of CLOCK_MONOTONIC. */
uint64_t timeline_now(void);

void timeline_record(struct timeline *timeline, unsigned int moment);

/* The moments that came, in their order, in ms since the first and since the one before. */
void timeline_print(FILE *out, const struct timeline *timeline);

#endif
