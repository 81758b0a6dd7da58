// SPDX-License-Identifier: MIT
/* pagemap.c - what the host's kernel tells of a process's own pages */

#include "mem/pagemap.h"

#include "mem/guest_mem.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/prctl.h>

int pagemap_open(void)
{
	int dumpable = prctl(PR_GET_DUMPABLE), fd, err;

	prctl(PR_SET_DUMPABLE, 1);
	fd = open(PAGEMAP, O_RDONLY | O_CLOEXEC);
	err = errno;
	prctl(PR_SET_DUMPABLE, dumpable);
	return fd < 0 ? -err : fd;
}

int pagemap_read(int fd, const void *page, uint64_t *entry, size_t n)
{
	return file_read_at(
		fd, entry, n * sizeof(*entry), (uintptr_t)page / GUEST_MEM_PAGE * sizeof(*entry));
}
