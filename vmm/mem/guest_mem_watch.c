// SPDX-License-Identifier: MIT
/* guest_mem_watch.c - which pages of guest RAM are written, as the host's kernel tells it */

#include "mem/guest_mem_watch.h"

#include "mem/guest_mem_parts.h"
#include "mem/pagemap.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define N_REGIONS 512u /* that one call tells of */

#define PIECE MIB(2) /* that is let go at a time */

/* There until RAM is gone: who gives memory back looks at it. */
struct mem_watch {
	int uffd;    /* -1: the kernel has no such */
	int pagemap; /* -1: the same */

	pthread_mutex_t lock; /* guards: */
	bool is_on;
	bool has_given_back;
	uint8_t *given_back; /* a bit for each page of the file of all RAM, since it was taken */
};

static struct mem_watch *watch_of(const struct guest_mem *mem)
{
	return atomic_load_explicit(&mem->watch, memory_order_acquire);
}

/* ---- its beginning and end ---- */

static int open_uffd(void)
{
	struct uffdio_api api = { .api = UFFD_API, .features = UFFD_FEATURE_WP_ASYNC };
	int fd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK | UFFD_USER_MODE_ONLY);

	if (fd < 0 || !ioctl(fd, UFFDIO_API, &api))
		return fd;
	close(fd);
	return -1;
}

static int protect(int uffd, uintptr_t start, uint64_t size)
{
	struct uffdio_register range = {
		.range = { start, size },
		.mode = UFFDIO_REGISTER_MODE_WP,
	};

	return ioctl(uffd, UFFDIO_REGISTER, &range) ? -errno : 0;
}

static struct mem_watch *create_watch(const struct guest_mem *mem)
{
	struct mem_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return NULL;
	watch->given_back = guest_mem_create_bitmap(mem);
	if (!watch->given_back) {
		free(watch);
		return NULL;
	}
	watch->uffd = open_uffd();
	watch->pagemap = pagemap_open();
	pthread_mutex_init(&watch->lock, NULL);
	return watch;
}

int guest_mem_prepare_watch(struct guest_mem *mem)
{
	struct mem_watch *watch = watch_of(mem);

	if (watch)
		return 0;
	watch = create_watch(mem);
	if (!watch)
		return -ENOMEM;
	atomic_store_explicit(&mem->watch, watch, memory_order_release);
	return 0;
}

int guest_mem_pagemap(const struct guest_mem *mem)
{
	const struct mem_watch *watch = watch_of(mem);

	return watch ? watch->pagemap : -1;
}

static void set_watched(struct mem_watch *watch, bool is_on)
{
	pthread_mutex_lock(&watch->lock);
	watch->is_on = is_on;
	watch->has_given_back = false;
	pthread_mutex_unlock(&watch->lock);
}

static int start_watch(const struct guest_mem *mem, struct mem_watch *watch)
{
	int ret = watch->uffd < 0 || watch->pagemap < 0 ? -EOPNOTSUPP : 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = protect(watch->uffd, (uintptr_t)mem->region[i].hva, mem->region[i].size);
	if (ret)
		return ret;
	guest_mem_clear_bitmap(mem, watch->given_back);
	set_watched(watch, true);
	return 0;
}

int guest_mem_watch(struct guest_mem *mem)
{
	int ret = mem->is_shared || mem->is_served ? -EOPNOTSUPP : guest_mem_prepare_watch(mem);

	if (ret || guest_mem_is_watched(mem))
		return ret;
	return start_watch(mem, watch_of(mem));
}

bool guest_mem_is_watched(const struct guest_mem *mem)
{
	struct mem_watch *watch = watch_of(mem);
	bool is_watched;

	if (!watch)
		return false;
	pthread_mutex_lock(&watch->lock);
	is_watched = watch->is_on;
	pthread_mutex_unlock(&watch->lock);
	return is_watched;
}

/* A piece at a time: the kernel keeps page faults waiting meanwhile. */
static void unprotect(int uffd, const struct mem_region *region)
{
	for (uint64_t at = 0; at < region->size; at += PIECE) {
		uint64_t size = region->size - at < PIECE ? region->size - at : PIECE;
		struct uffdio_range range = { (uintptr_t)region->hva + at, size };

		ioctl(uffd, UFFDIO_UNREGISTER, &range);
	}
}

void guest_mem_unwatch(struct guest_mem *mem)
{
	struct mem_watch *watch = watch_of(mem);

	if (!guest_mem_is_watched(mem))
		return;
	set_watched(watch, false);
	for (size_t i = 0; i < mem->n_regions; i++)
		unprotect(watch->uffd, &mem->region[i]);
}

void guest_mem_watch_fini(struct guest_mem *mem)
{
	struct mem_watch *watch = watch_of(mem);

	if (!watch)
		return;
	if (watch->uffd >= 0)
		close(watch->uffd);
	if (watch->pagemap >= 0)
		close(watch->pagemap);
	guest_mem_free_bitmap(mem, watch->given_back);
	pthread_mutex_destroy(&watch->lock);
	free(watch);
}

/* ---- what the guest did without: not there, and so not protected ---- */

/* Afterwards: who takes what was written while nobody writes finds all of it noted. */
void guest_mem_watch_given_back(const struct guest_mem *mem, uintptr_t start, uintptr_t end)
{
	struct mem_watch *watch = watch_of(mem);

	if (!watch)
		return;
	pthread_mutex_lock(&watch->lock);
	if (watch->is_on) {
		/* If it is not, whoever takes next is told. */
		(void)protect(watch->uffd, start, end - start);
		guest_mem_mark_pages(mem, watch->given_back, start, end);
		watch->has_given_back = true;
	}
	pthread_mutex_unlock(&watch->lock);
}

/* ---- taking ---- */

static int make_room(struct mem_runs *runs)
{
	size_t room = runs->room ? runs->room * 2 : N_REGIONS;
	struct mem_run *more = reallocarray(runs->run, room, sizeof(*more));

	if (!more)
		return -ENOMEM;
	runs->run = more;
	runs->room = room;
	return 0;
}

static bool is_continued(
	const struct mem_run *run, const struct mem_region *region, const uint8_t *hva)
{
	return run->hva + run->size == hva && hva != region->hva;
}

static int add_run(
	struct mem_runs *runs, const struct mem_region *region, const uint8_t *hva, uint64_t size)
{
	int ret;

	runs->size += size;
	if (runs->n && is_continued(&runs->run[runs->n - 1], region, hva)) {
		runs->run[runs->n - 1].size += size;
		return 0;
	}
	ret = runs->n < runs->room ? 0 : make_room(runs);
	if (ret)
		return ret;
	runs->run[runs->n++] = (struct mem_run){
		.hva = hva,
		.size = size,
		.offset = region->offset + (uint64_t)(hva - region->hva),
	};
	return 0;
}

/* Pages of the file that RAM is a map of were read, and not written. */
static int add_written(const struct mem_watch *watch, struct mem_runs *runs,
	const struct mem_region *region, const uint8_t *hva, uint64_t size)
{
	uint64_t entry[N_REGIONS];
	int ret = 0;

	for (uint64_t done = 0, n; done < size && !ret; done += n * GUEST_MEM_PAGE) {
		n = (size - done) / GUEST_MEM_PAGE;
		n = n < N_REGIONS ? n : N_REGIONS;
		ret = pagemap_read(watch->pagemap, hva + done, entry, n);
		for (uint64_t i = 0; i < n && !ret; i++)
			if (!(entry[i] & PAGE_PRESENT) || !(entry[i] & PAGE_OF_FILE))
				ret = add_run(runs, region, hva + done + i * GUEST_MEM_PAGE,
					GUEST_MEM_PAGE);
	}
	return ret;
}

static int scan(const struct guest_mem *mem, const struct mem_watch *watch, struct mem_runs *runs,
	const struct mem_region *region, uint64_t from, uint64_t size, bool is_still)
{
	struct page_region found[N_REGIONS];
	struct pm_scan_arg arg = {
		.size = sizeof(arg),
		/* With these masks the kernel has a short way: a GiB in half a millisecond. */
		.flags = PM_SCAN_WP_MATCHING | (is_still ? PM_SCAN_CHECK_WPASYNC : 0),
		.category_mask = PAGE_IS_WRITTEN,
		.return_mask = PAGE_IS_WRITTEN,
		.start = (uintptr_t)region->hva + from,
		.end = (uintptr_t)region->hva + from + size,
		.vec = (uintptr_t)found,
		.vec_len = N_REGIONS,
	};
	int ret = 0;

	while (arg.start < arg.end && !ret) {
		int n = ioctl(watch->pagemap, PAGEMAP_SCAN, &arg);

		if (n < 0)
			return -errno;
		for (int i = 0; i < n && !ret && runs; i++) {
			const uint8_t *hva = (const uint8_t *)(uintptr_t)found[i].start;
			uint64_t length = found[i].end - found[i].start;

			ret = guest_mem_is_mapped(mem, hva)
			              ? add_written(watch, runs, region, hva, length)
			              : add_run(runs, region, hva, length);
		}
		arg.start = arg.walk_end;
	}
	return ret;
}

/* Clears what it takes. */
static int take_given_back(
	struct mem_watch *watch, struct mem_runs *runs, const struct mem_region *region)
{
	uint64_t first = region->offset / GUEST_MEM_PAGE,
		 end = first + region->size / GUEST_MEM_PAGE;
	int ret = 0;

	for (uint64_t page = first; page < end && !ret; page++) {
		uint8_t *bits = &watch->given_back[page / 8];

		if (!*bits) {
			page |= 7;
			continue;
		}
		if (*bits >> page % 8 & 1)
			ret = add_run(runs, region, region->hva + (page - first) * GUEST_MEM_PAGE,
				GUEST_MEM_PAGE);
		*bits &= (uint8_t) ~(1u << page % 8);
	}
	return ret;
}

int guest_mem_take_written(struct guest_mem *mem, struct mem_runs *runs, bool is_still)
{
	struct mem_watch *watch = watch_of(mem);
	int ret = 0;

	runs->n = 0;
	runs->size = 0;
	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = scan(mem, watch, runs, &mem->region[i], 0, mem->region[i].size, is_still);
	pthread_mutex_lock(&watch->lock);
	for (size_t i = 0; i < mem->n_regions && !ret && watch->has_given_back; i++)
		ret = take_given_back(watch, runs, &mem->region[i]);
	watch->has_given_back = false;
	pthread_mutex_unlock(&watch->lock);
	return ret;
}

int guest_mem_take_piece(
	const struct guest_mem *mem, const struct mem_region *region, uint64_t from, uint64_t size)
{
	return scan(mem, watch_of(mem), NULL, region, from, size, false);
}

void mem_runs_free(struct mem_runs *runs)
{
	free(runs->run);
	*runs = (struct mem_runs){ 0 };
}
