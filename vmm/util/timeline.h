/* SPDX-License-Identifier: MIT */
/* timeline.h - when the moments of a boot came
 *
 * Each moment is recorded once, the first time, by any thread; a moment already there costs one
 * load.  Without a timeline (NULL) a moment costs a comparison, and no clock is read.
 */
#ifndef UTIL_TIMELINE_H
#define UTIL_TIMELINE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

enum timeline_moment {
	TIMELINE_START,   /* the program began to read its arguments */
	TIMELINE_ASKED,   /* the API was asked to start the machine */
	TIMELINE_OPENED,  /* the kernel's file is open and its ELF unpacked */
	TIMELINE_LOADED,  /* kernel, initrd and hand-over are in guest RAM */
	TIMELINE_KVM,     /* KVM is open, and has said what it can do */
	TIMELINE_VM,      /* the VM has its memory and interrupt controller */
	TIMELINE_VCPUS,   /* devices and vCPUs are there */
	TIMELINE_READY,   /* the console is open, all but the vCPUs' threads is there */
	TIMELINE_GUEST,   /* the boot CPU enters the guest */
	TIMELINE_CONSOLE, /* the guest's first byte on its console */
	TIMELINE_MARK,    /* the guest's marks, by number: TIMELINE_MARK + n */
	TIMELINE_MARK_END = TIMELINE_MARK + 256,
	TIMELINE_END = TIMELINE_MARK_END, /* power-off, reset or crash */
	TIMELINE_RELEASED,                /* all that the machine was made of is given back */
	TIMELINE_N_MOMENTS,
};

/* A guest's mark 1 says "user space is reached". */
#define TIMELINE_MARK_USER 1

struct timeline {
	_Atomic uint64_t at_ns[TIMELINE_N_MOMENTS]; /* CLOCK_MONOTONIC; 0: not yet */
};

/* Nanoseconds of CLOCK_MONOTONIC, and whole milliseconds of it. */
uint64_t timeline_now(void);
uint64_t timeline_now_ms(void);

/* Record a moment as of now; timeline may be NULL. */
void timeline_record(struct timeline *timeline, unsigned int moment);

/* The moments that came, in their order. */
struct timeline_row {
	uint64_t at_ns; /* CLOCK_MONOTONIC */
	unsigned int moment;
};
size_t timeline_rows(const struct timeline *timeline, struct timeline_row rows[TIMELINE_N_MOMENTS]);

/* What a moment is called; `name` has room for any in 32 bytes. */
void timeline_name(char name[32], unsigned int moment);

/* The rows as text, in ms since the first and since the one before. */
void timeline_print(FILE *out, const struct timeline *timeline);

/* The same as an SVG document that needs nothing else. */
void timeline_draw(FILE *out, const struct timeline *timeline);

/* The same as one JSON object: start_ns is the first moment, in nanoseconds of CLOCK_MONOTONIC;
 * moments is an array of objects with name and ns, the time since the first.
 */
void timeline_print_json(FILE *out, const struct timeline *timeline);

/* One of these, as the name of the file says: .svg, .json, or any other for text. */
void timeline_write(FILE *out, const char *path, const struct timeline *timeline);

#endif
