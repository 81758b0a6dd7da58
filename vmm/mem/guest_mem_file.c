// SPDX-License-Identifier: MIT
/* guest_mem_file.c - a file's bytes into guest RAM: read, or mapped */

#include "mem/guest_mem.h"
#include "util/file.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A signal is heeded between two system calls, so none is to read for long. */
#define PIECE MIB(8)

/* Beyond the file's end a mapping has pages that kill whoever touches them. */
static int check_size(int fd, uint64_t offset, uint64_t size)
{
	struct stat st;

	if (file_stat(fd, &st) < 0)
		return -errno;
	return range_within(offset, size, 0, (uint64_t)st.st_size) ? 0 : -ENODATA;
}

static int read_data(int fd, uint8_t *hva, uint64_t offset, uint64_t size)
{
	int ret = 0;

	for (uint64_t done = 0, n; done < size && !ret; done += n) {
		n = size - done < PIECE ? size - done : PIECE;
		ret = file_read_at(fd, hva + done, n, offset + done);
	}
	return ret;
}

/* The next data of the file in [offset, end), as *data and its size.  What a file system that knows
 * no holes says is taken for data.  0: there is only a hole; its end is the file's, or beyond
 * `end`.
 */
static uint64_t next_data(int fd, uint64_t offset, uint64_t end, uint64_t *data)
{
	off_t from = lseek(fd, (off_t)offset, SEEK_DATA), to;

	if (from < 0 && errno == ENXIO)
		return 0;
	*data = from < (off_t)offset ? offset : (uint64_t)from;
	if (*data >= end)
		return 0;
	to = lseek(fd, (off_t)*data, SEEK_HOLE);
	return (to <= (off_t)*data || (uint64_t)to > end ? end : (uint64_t)to) - *data;
}

int guest_mem_read_file(
	const struct guest_mem *mem, gpa_t gpa, int fd, uint64_t offset, uint64_t size)
{
	uint8_t *hva = guest_mem_at(mem, gpa, size);
	uint64_t end = offset + size, data, n;
	int ret;

	if (!hva)
		return -EFAULT;
	if (!range_within(offset, size, 0, INT64_MAX))
		return -ENODATA;
	while (offset < end) {
		n = next_data(fd, offset, end, &data);
		if (!n)
			return check_size(fd, offset, end - offset);
		hva += data - offset;
		ret = read_data(fd, hva, data, n);
		if (ret)
			return ret;
		hva += n;
		offset = data + n;
	}
	return 0;
}

/* Between the first and the last there may be other memory: no harm is done by taking it for a
 * file's.
 */
static void note_mapped(struct guest_mem *mem, const void *hva, uint64_t size)
{
	uintptr_t start = (uintptr_t)hva;

	if (!mem->mapped_end || start < mem->mapped_start)
		mem->mapped_start = start;
	if (start + size > mem->mapped_end)
		mem->mapped_end = start + size;
}

int guest_mem_map_file(struct guest_mem *mem, gpa_t gpa, int fd, uint64_t offset, uint64_t size)
{
	void *hva = guest_mem_at(mem, gpa, size);
	int ret;

	BUG_ON((gpa | offset | size) % GUEST_MEM_PAGE || !size);
	if (!hva)
		return -EFAULT;
	if (mem->is_shared)
		return guest_mem_read_file(mem, gpa, fd, offset, size);
	ret = check_size(fd, offset, size);
	if (ret)
		return ret;
	if (mmap(hva, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE | MAP_FIXED, fd,
		    (off_t)offset) == MAP_FAILED)
		return -errno;
	note_mapped(mem, hva, size);
	/* Advice.  Where files can have huge pages, they are then read from disk as such. */
	madvise(hva, size, MADV_DONTDUMP);
	madvise(hva, size, MADV_HUGEPAGE);
	return 0;
}
