/* SPDX-License-Identifier: MIT */
/* guest_mem_touched.h - which pages of RAM that is a private map of a file were touched, and to
 * have such pages touched ahead
 */
#ifndef MEM_GUEST_MEM_TOUCHED_H
#define MEM_GUEST_MEM_TOUCHED_H

#include "mem/guest_mem.h"

struct touched_run {
	uint64_t offset, size; /* bytes, of whole pages, in the file of all RAM */
	bool is_written;       /* and so no longer the file's */
};

/* All runs, in order, the caller's; `pagemap` is open (pagemap.h).  Pages that the host has read
 * along with others count as touched.  Nobody may use RAM meanwhile.  Their number, or -errno.
 */
int64_t guest_mem_touched(const struct guest_mem *mem, int pagemap, struct touched_run **runs);

/* Have the pages of a run as they were: read from the file, or copied.  What does not lie in RAM is
 * left out.  Any thread, also while the guest runs.
 */
void guest_mem_touch(const struct guest_mem *mem, const struct touched_run *run);

/* Have the host begin to read them, and do not wait. */
void guest_mem_announce(const struct guest_mem *mem, const struct touched_run *run);

#endif
