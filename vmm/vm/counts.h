/* SPDX-License-Identifier: MIT */
/* counts.h - what a machine counts: its vCPUs' exits, its devices' requests and bytes
 *
 * Each is known by numbers alone: a kind of thing, which of its kind, and the place in the kind's
 * table of names.  So another process can be told of them without believing what it is told.
 */
#ifndef VM_COUNTS_H
#define VM_COUNTS_H

#include "dev/table.h"
#include "util/counter.h"

#include <stdint.h>

struct vm;

enum { COUNTS_VCPU = N_DEVICE_KINDS, COUNTS_UART, N_COUNT_KINDS };

struct count {
	uint16_t kind;  /* enum device_kind, or COUNTS_... */
	uint16_t item;  /* of its kind, from 0 */
	uint32_t index; /* in counts_names(kind) */
	uint64_t value; /* since the machine was made */
};

/* The kind's table; NULL: it counts nothing, or there is no such kind. */
const struct counter *counts_names(unsigned int kind);

/* The name of what a count counts; NULL: nothing. */
const char *counts_name(const struct count *count);

/* What all have counted so far, but for devices that others serve: how many there are, at most
 * `max`.  Takes no lock.  The control thread, after vm_live() has begun and before vm_close().
 */
unsigned int counts_take(const struct vm *vm, struct count *counts, unsigned int max);

#endif
