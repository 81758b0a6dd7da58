/* SPDX-License-Identifier: MIT */
/* guest_mem.h - guest RAM, and the one gate from guest-physical addresses to host pointers
 *
 * RAM is one or two regions, taken lazily from the host: [0, low) and [4 GiB, ...).  Between them
 * lies the device hole.  The layout is fixed at init and never changes while the VM runs, so the
 * gate needs no lock.
 *
 * It is anonymous memory of ours alone; or a private map of a file, which holds what a machine had
 * in its RAM when it was saved; or anonymous memory of which another process brings each page when
 * it is first touched; or, where another process is to serve a device, a file without a name
 * (memfd) that is given to that process.
 */
#ifndef MEM_GUEST_MEM_H
#define MEM_GUEST_MEM_H

#include "util/bits.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t gpa_t;

#define GUEST_MEM_PAGE      4096u
#define GUEST_MEM_LOW_MAX   0xc0000000ull  /* RAM below 4 GiB ends here at the latest */
#define GUEST_MEM_HIGH_BASE 0x100000000ull /* RAM above the device hole */
#define GUEST_MEM_MAX       GIB(1024)      /* of RAM in all */

struct mem_region {
	gpa_t gpa;
	uint64_t size;   /* bytes, a multiple of 4096 */
	uint8_t *hva;    /* congruent to gpa modulo 2 MiB, so that the host can use huge pages */
	uint64_t offset; /* in a file that has all of RAM; likewise congruent */
};

struct mem_watch;

struct guest_mem {
	struct mem_region region[2]; /* [0] from 0, [1] from 4 GiB; absent: all zero */
	size_t n_regions;
	uintptr_t mapped_start, mapped_end; /* host addresses between which pages of files lie */
	bool is_shared;                     /* and then: */
	int fd;                             /* the file; nobody can make it shorter */
	int saved_fd;        /* of which RAM is a private map, not owned; -1: it is none */
	bool is_served;      /* another process brings its pages, and then: */
	int fault_fd;        /* by which it does; owned */
	uint8_t *given_back; /* of RAM that comes from elsewhere, NULL of other: a bit for each page
	                        that the guest did without once */
	struct mem_watch *_Atomic watch; /* guest_mem_watch.h; NULL: it never was */
};

/* Reserve `size` bytes of RAM (a multiple of 4096, > 0), all zero, no page of it touched.
 * -ENOMEM if the address space or the host's overcommit rule refuses.
 */
int guest_mem_init(struct guest_mem *mem, uint64_t size);

/* The same as a file: whoever has mem->fd sees and changes what the guest does.  Also the errors of
 * memfd_create(2).
 */
int guest_mem_init_shared(struct guest_mem *mem, uint64_t size);

/* What a machine of this size had in its RAM, saved by guest_mem_save() in a file which stays open
 * as long as this is used, and which nobody changes: nothing is read before it is touched, and what
 * is written is ours alone.  -ENODATA: the file is shorter; else as guest_mem_init().
 */
int guest_mem_init_saved(struct guest_mem *mem, uint64_t size, int fd);

/* The same as a file of its own, as guest_mem_init_shared(): all of it is read. */
int guest_mem_init_shared_saved(struct guest_mem *mem, uint64_t size, int fd);

/* RAM of which whoever has fault_fd (fault_fd.h) as well brings each page when it is touched; so
 * whoever touches one waits for that.  Takes fault_fd over, unless it fails: as guest_mem_init(),
 * and the errors of fault_fd_register().
 */
int guest_mem_init_served(struct guest_mem *mem, uint64_t size, int fault_fd);

/* Of such RAM, have each page brought that is not there, but those that were given back, which are
 * zero.  As long as the other process takes; all of them are read, there or not, unless
 * guest_mem_prepare_watch() came before.  Any thread, also while the guest runs.  -ECANCELED:
 * `stop` was set meanwhile; -errno.
 */
int guest_mem_fetch(const struct guest_mem *mem, const atomic_bool *stop);

/* Nobody needs the pages any more that are not there: who waits for one goes on, with zeros. */
void guest_mem_stop_serving(const struct guest_mem *mem);

void guest_mem_fini(struct guest_mem *mem);

/* Write RAM to a file that is empty, each region at its `offset`; what is zero is left out, as
 * holes. `only_changed`: of RAM that is a map of a file all is left out that is as it is there, and
 * what is zero now is written.  Nobody may write to RAM meanwhile.  Allocates nothing, takes no
 * lock: it is for a process that was just forked.  -errno.
 */
int guest_mem_save(const struct guest_mem *mem, int fd, bool only_changed);

/* All of RAM as guest_mem_init() left it, at the same addresses; its pages go back to the host.
 * Nobody may use it meanwhile.  -ENOMEM: then it is not to be used.
 */
int guest_mem_reset(struct guest_mem *mem);

static inline uint64_t guest_mem_size(const struct guest_mem *mem)
{
	return mem->region[0].size + mem->region[1].size;
}

/* The gate: host address of [gpa, gpa + size), or NULL unless all of it lies in one region.
 * The guest may change those bytes at any time: copy once, then check the copy.
 */
static inline void *guest_mem_at(const struct guest_mem *mem, gpa_t gpa, uint64_t size)
{
	const struct mem_region *region = &mem->region[gpa >= GUEST_MEM_HIGH_BASE];

	if (!range_within(gpa, size, region->gpa, region->size))
		return NULL;
	return region->hva + (gpa - region->gpa);
}

/* -EFAULT unless all of the range is RAM. */
int guest_mem_write(const struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t size);

/* Read exactly `size` bytes of fd from `offset` into RAM that nobody has written yet: where the
 * file has a hole, it stays as it is, zero.  Moves fd's file position.  -EFAULT: not RAM; -ENODATA:
 * the file is shorter; else read's own error; then what was read is undefined.
 */
int guest_mem_read_file(
	const struct guest_mem *mem, gpa_t gpa, int fd, uint64_t offset, uint64_t size);

/* Map a file's pages there, privately (copy on write).  gpa, offset and size are multiples of 4096.
 * Only for files nobody else rewrites or cuts.  Shared RAM has them read, for others would not see
 * what is mapped.  -EFAULT: not RAM; -ENODATA: the file is shorter; else mmap's or read's own
 * error.
 */
int guest_mem_map_file(struct guest_mem *mem, gpa_t gpa, int fd, uint64_t offset, uint64_t size);

/* The guest does without these bytes of its RAM, at their host address, which lie in one region:
 * the whole pages among them go back to the host, and read as zeros when they are next touched. Any
 * thread, also while the guest runs.
 */
void guest_mem_give_back(const struct guest_mem *mem, void *hva, uint64_t size);

/* Let the host's KSM merge the whole pages of [gpa, gpa + size) with equal ones of any process that
 * allows it too.  What is mapped there later is left out, and so is shared RAM.  -EFAULT: not RAM;
 * -EINVAL: the host's kernel has no KSM.
 */
int guest_mem_merge(const struct guest_mem *mem, gpa_t gpa, uint64_t size);

#endif
