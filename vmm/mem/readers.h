/* SPDX-License-Identifier: MIT */
/* readers.h - threads that read files into guest RAM together
 *
 * To read a kernel or an initrd is mostly the host's work: it zeroes huge pages and copies into
 * them.  Until the kernel is loaded the vCPUs' threads have nothing to do, so they take part.
 */
#ifndef MEM_READERS_H
#define MEM_READERS_H

#include "mem/guest_mem.h"

#include <pthread.h>
#include <stdbool.h>

/* What is left of a read. */
struct reading {
	uint8_t *hva;
	int fd;
	uint64_t offset, size;
};

struct readers {
	const struct guest_mem *mem; /* not owned */
	pthread_mutex_t lock;        /* of all that follows */
	pthread_cond_t changed;
	struct reading left;
	unsigned int n_busy; /* threads that read a piece of it */
	int error;           /* of the first piece that failed */
	bool dismissed;
};

void readers_init(struct readers *readers, const struct guest_mem *mem);
void readers_fini(struct readers *readers);

/* Read exactly `size` bytes of fd from `offset` into RAM that nobody has written yet: where the
 * file has a hole, it stays as it is, zero.  Whoever helps takes part, unless it is so little that
 * nobody need be woken for it.  One call at a time.  Moves fd's file position.  -EFAULT: not RAM;
 * -ENODATA: the file is shorter; else read's own error; then what was read is undefined.
 */
int readers_read_file(struct readers *readers, gpa_t gpa, int fd, uint64_t offset, uint64_t size);

/* Help, until there is nothing more to read.  Any number of threads. */
void readers_help(struct readers *readers);

/* There is nothing more to read.  May be said twice. */
void readers_dismiss(struct readers *readers);

#endif
