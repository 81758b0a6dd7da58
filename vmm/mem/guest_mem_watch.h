/* SPDX-License-Identifier: MIT */
/* guest_mem_watch.h - which pages of guest RAM are written, as the host's kernel tells it
 *
 * Each page is write-protected by the kernel (userfaultfd, in its asynchronous mode), which lets
 * whoever writes to it go on at once and remembers that: vCPUs, our threads, and itself where it
 * writes to our addresses for us.  What goes past the page tables is not seen: direct I/O into RAM,
 * and what a processor writes for a nested guest.  Who has such does not watch.
 *
 * Linux 6.7; it needs no privilege.
 */
#ifndef MEM_GUEST_MEM_WATCH_H
#define MEM_GUEST_MEM_WATCH_H

#include "mem/guest_mem.h"

#include <stdatomic.h>

struct mem_run {
	const uint8_t *hva;
	uint64_t size, offset; /* bytes, of whole pages; where they are in a file of all RAM */
};

struct mem_runs {
	struct mem_run *run; /* owned; all zero: none */
	size_t n, room;
	uint64_t size; /* bytes of all of them */
};

/* Open what is needed of the kernel, so that no file has to be opened later.  -ENOMEM; what the
 * kernel lacks is no failure.
 */
int guest_mem_prepare_watch(struct guest_mem *mem);

/* The descriptor of this process's /proc/self/pagemap that is open since; not the caller's; -1. */
int guest_mem_pagemap(const struct guest_mem *mem);

/* From now on; nothing counts as taken before.  RAM that is watched already goes on to be.  One
 * thread at a time, as all below.  -EOPNOTSUPP: the host's kernel cannot, or others write to this
 * RAM, too; or -errno.
 */
int guest_mem_watch(struct guest_mem *mem);

/* No longer.  Also while the guest runs, which it holds up for some microseconds at a time. */
void guest_mem_unwatch(struct guest_mem *mem);

bool guest_mem_is_watched(const struct guest_mem *mem);

/* All pages that may have been written, or that the guest did without, since they were last taken:
 * in place of what `runs` has.  Some may be as they were.  `is_still`: nobody writes to RAM
 * meanwhile, so that nothing is missed (else it is told of the next time).  -errno: it is not known
 * any more what was written.
 */
int guest_mem_take_written(struct guest_mem *mem, struct mem_runs *runs, bool is_still);

void mem_runs_free(struct mem_runs *runs);

/* guest_mem_save() after guest_mem_prepare_watch(), which opens nothing.  RAM is watched and the
 * guest runs: what is written meanwhile is to be taken and saved afterwards; -ECANCELED as soon as
 * *stop. Or `stop` is NULL, and nobody may write to RAM meanwhile.
 */
int guest_mem_save_prepared(
	const struct guest_mem *mem, int fd, bool only_changed, const atomic_bool *stop);

/* Write these to the file of all RAM; from `copy`, which has one behind the other; NULL: from RAM.
 * Allocates nothing, takes no lock.  -errno.
 */
int mem_runs_save(const struct mem_runs *runs, const uint8_t *copy, int fd);

/* The bytes of all runs, one behind the other. */
void mem_runs_copy(const struct mem_runs *runs, uint8_t *copy);

#endif
