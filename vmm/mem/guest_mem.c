// SPDX-License-Identifier: MIT
/* guest_mem.c - guest RAM: reservation, copying in and out */

#include "mem/guest_mem.h"

#include "mem/fault_fd.h"
#include "mem/guest_mem_parts.h"
#include "mem/guest_mem_watch.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define HUGE_PAGE MIB(2)

/* Lay fresh zero pages, or those of a file, over [hva, hva + size), which is ours already. */
static int region_map(const struct guest_mem *mem, const struct mem_region *region)
{
	int fd = mem->is_shared ? mem->fd : mem->saved_fd;
	int kind = (mem->is_shared ? MAP_SHARED : MAP_PRIVATE) | (fd < 0 ? MAP_ANONYMOUS : 0);
	uint64_t small = region->gpa ? 0 : HUGE_PAGE;
	void *hva = mmap(region->hva, region->size, PROT_READ | PROT_WRITE,
		kind | MAP_NORESERVE | MAP_FIXED, fd, (off_t)region->offset);

	if (hva == MAP_FAILED)
		return -errno;
	/* Both are advice: a kernel without the feature is no reason to fail.  Small pages below
	 * 2 MiB, because a tiny guest has a handful there: to touch five costs 10 us, to have
	 * 2 MiB zeroed for them 50 us; from 28 pages on the huge page would be cheaper.
	 */
	madvise(region->hva, region->size, MADV_DONTDUMP);
	if (small)
		madvise(region->hva, region->size < small ? region->size : small, MADV_NOHUGEPAGE);
	if (region->size > small)
		madvise(region->hva + small, region->size - small, MADV_HUGEPAGE);
	return 0;
}

static int region_init(
	const struct guest_mem *mem, struct mem_region *region, gpa_t gpa, uint64_t size)
{
	uint64_t room = size + HUGE_PAGE;
	uint8_t *start;
	uint64_t head;
	int ret;

	if (room < size || room > SIZE_MAX)
		return -ENOMEM;
	start = mmap(NULL, room, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (start == MAP_FAILED)
		return -ENOMEM;
	head = ((uint64_t)gpa - (uintptr_t)start) & (HUGE_PAGE - 1);
	*region = (struct mem_region){
		.gpa = gpa,
		.size = size,
		.hva = start + head,
		.offset = gpa ? GUEST_MEM_LOW_MAX : 0,
	};
	if (head)
		munmap(start, head);
	munmap(region->hva + size, HUGE_PAGE - head);

	ret = region_map(mem, region);
	if (ret < 0) {
		munmap(region->hva, size);
		*region = (struct mem_region){ 0 };
	}
	return ret;
}

static int map_regions(struct guest_mem *mem, uint64_t size)
{
	uint64_t low = size < GUEST_MEM_LOW_MAX ? size : GUEST_MEM_LOW_MAX;
	int ret;

	ret = region_init(mem, &mem->region[0], 0, low);
	if (ret < 0)
		return ret;
	mem->n_regions = 1;
	if (size == low)
		return 0;
	ret = region_init(mem, &mem->region[1], GUEST_MEM_HIGH_BASE, size - low);
	if (!ret)
		mem->n_regions = 2;
	return ret;
}

/* Who has it can neither cut off what we have mapped, which would kill us, nor undo that. */
static int create_file(uint64_t size)
{
	int fd = memfd_create("guest-ram", MFD_CLOEXEC | MFD_ALLOW_SEALING), err;

	if (fd < 0)
		return -errno;
	if (!ftruncate(fd, (off_t)size) &&
		!fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static size_t bitmap_size(const struct guest_mem *mem)
{
	return guest_mem_size(mem) / GUEST_MEM_PAGE / 8 + 1;
}

uint8_t *guest_mem_create_bitmap(const struct guest_mem *mem)
{
	void *map = mmap(NULL, bitmap_size(mem), PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return map == MAP_FAILED ? NULL : map;
}

void guest_mem_clear_bitmap(const struct guest_mem *mem, uint8_t *bitmap)
{
	madvise(bitmap, bitmap_size(mem), MADV_DONTNEED);
}

void guest_mem_free_bitmap(const struct guest_mem *mem, uint8_t *bitmap)
{
	munmap(bitmap, bitmap_size(mem));
}

void guest_mem_mark_pages(
	const struct guest_mem *mem, uint8_t *bitmap, uintptr_t start, uintptr_t end)
{
	for (size_t i = 0; i < mem->n_regions; i++) {
		const struct mem_region *region = &mem->region[i];
		uintptr_t base = (uintptr_t)region->hva;

		for (uintptr_t at = start; at < end && range_within(at, 1, base, region->size);
			at += GUEST_MEM_PAGE) {
			uint64_t page = (region->offset + (at - base)) / GUEST_MEM_PAGE;

			__atomic_fetch_or(
				&bitmap[page / 8], (uint8_t)(1u << page % 8), __ATOMIC_RELAXED);
		}
	}
}

static int init(struct guest_mem *mem, uint64_t size, bool is_shared, int saved_fd)
{
	int ret;

	BUG_ON(!size || size % GUEST_MEM_PAGE);
	memset(mem, 0, sizeof(*mem));
	mem->saved_fd = saved_fd;
	if (is_shared) {
		ret = size > INT64_MAX ? -ENOMEM : create_file(size);
		if (ret < 0)
			return ret;
		mem->fd = ret;
		mem->is_shared = true;
	}
	ret = map_regions(mem, size);
	if (!ret && saved_fd >= 0) {
		mem->given_back = guest_mem_create_bitmap(mem);
		ret = mem->given_back ? 0 : -ENOMEM;
	}
	if (ret)
		guest_mem_fini(mem);
	return ret;
}

int guest_mem_init(struct guest_mem *mem, uint64_t size)
{
	return init(mem, size, false, -1);
}

int guest_mem_init_shared(struct guest_mem *mem, uint64_t size)
{
	return init(mem, size, true, -1);
}

/* Beyond a file's end a mapping has pages that kill whoever touches them. */
static int check_saved(int fd, uint64_t size)
{
	struct stat st;

	if (file_stat(fd, &st))
		return -errno;
	return st.st_size < 0 || (uint64_t)st.st_size < size ? -ENODATA : 0;
}

int guest_mem_init_saved(struct guest_mem *mem, uint64_t size, int fd)
{
	int ret = check_saved(fd, size);

	if (!ret)
		ret = init(mem, size, false, fd);
	if (ret)
		return ret;
	mem->mapped_start = 0;
	mem->mapped_end = UINTPTR_MAX;
	return 0;
}

int guest_mem_init_shared_saved(struct guest_mem *mem, uint64_t size, int fd)
{
	int ret = guest_mem_init_shared(mem, size);

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = guest_mem_read_file(
			mem, mem->region[i].gpa, fd, mem->region[i].offset, mem->region[i].size);
	if (ret)
		guest_mem_fini(mem);
	return ret;
}

static int serve_regions(const struct guest_mem *mem, int fault_fd)
{
	int ret = 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = fault_fd_register(fault_fd, mem->region[i].hva, mem->region[i].size);
	return ret;
}

int guest_mem_init_served(struct guest_mem *mem, uint64_t size, int fault_fd)
{
	int ret = init(mem, size, false, -1);

	if (ret)
		return ret;
	mem->given_back = guest_mem_create_bitmap(mem);
	ret = mem->given_back ? serve_regions(mem, fault_fd) : -ENOMEM;
	if (ret) {
		guest_mem_fini(mem);
		return ret;
	}
	mem->fault_fd = fault_fd;
	mem->is_served = true;
	return 0;
}

void guest_mem_fini(struct guest_mem *mem)
{
	guest_mem_watch_fini(mem);
	if (mem->given_back)
		guest_mem_free_bitmap(mem, mem->given_back);
	for (size_t i = 0; i < mem->n_regions; i++)
		munmap(mem->region[i].hva, mem->region[i].size);
	if (mem->is_shared)
		close(mem->fd);
	if (mem->is_served)
		close(mem->fault_fd);
	memset(mem, 0, sizeof(*mem));
}

int guest_mem_reset(struct guest_mem *mem)
{
	int ret = 0;

	guest_mem_unwatch(mem);
	/* A new mapping would have the old pages. */
	if (mem->is_shared)
		return fallocate(mem->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
			       (off_t)guest_mem_size(mem))
		               ? -errno
		               : 0;
	mem->saved_fd = -1;
	if (mem->is_served) {
		guest_mem_stop_serving(mem);
		close(mem->fault_fd);
		mem->is_served = false;
	}
	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = region_map(mem, &mem->region[i]);
	mem->mapped_start = mem->mapped_end = 0;
	return ret;
}

/* Among a file's pages, where the host would put the file's bytes back, zero pages are laid
 * instead; and shared pages leave the file.  What cannot be given back stays: the guest has lost
 * nothing but the room.
 */
void guest_mem_give_back(const struct guest_mem *mem, void *hva, uint64_t size)
{
	uintptr_t start = ALIGN_UP((uintptr_t)hva, GUEST_MEM_PAGE);
	uintptr_t end = ALIGN_DOWN((uintptr_t)hva + size, GUEST_MEM_PAGE);

	if (start >= end)
		return;
	if (mem->given_back)
		guest_mem_mark_pages(mem, mem->given_back, start, end);
	if (start < mem->mapped_end && end > mem->mapped_start)
		(void)!mmap((void *)start, end - start, PROT_READ | PROT_WRITE,
			MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
	else
		madvise((void *)start, end - start, mem->is_shared ? MADV_REMOVE : MADV_DONTNEED);
	guest_mem_watch_given_back(mem, start, end);
}

int guest_mem_write(const struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t size)
{
	void *hva = guest_mem_at(mem, gpa, size);

	if (!hva)
		return -EFAULT;
	memcpy(hva, data, size);
	return 0;
}

int guest_mem_merge(const struct guest_mem *mem, gpa_t gpa, uint64_t size)
{
	uint8_t *hva = guest_mem_at(mem, gpa, size);
	uint64_t head = ALIGN_UP(gpa, GUEST_MEM_PAGE) - gpa;

	if (!hva)
		return -EFAULT;
	size = size > head ? ALIGN_DOWN(size - head, GUEST_MEM_PAGE) : 0;
	if (size && madvise(hva + head, size, MADV_MERGEABLE))
		return -errno;
	return 0;
}
