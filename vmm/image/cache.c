// SPDX-License-Identifier: MIT
/* cache.c - unpacked kernels, kept from one run to the next */

#include "image/cache.h"

#include "image/evict.h"
#include "image/gather.h"
#include "util/bits.h"
#include "util/cachedir.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Part of each name: entries of another version are never found, and age out. */
#define FORMAT 1

/* An hour-old kernel is in use as much as a minute-old one: do not write at every start. */
#define ATIME_STEP_S 60

#define LOCK_WAIT_MS 10000
#define LOCK_STEP_MS 5

/* Two ticks of the kernel's slowest clock, from which file times are taken. */
#define SETTLE_NS 20000000

/* ---- where ---- */

bool cache_locate(struct cache *cache, const struct stat *source)
{
	memset(cache, 0, sizeof(*cache));
	cache->dir_fd = -1;
	cache->file.fd = -1;
	if (!cachedir_find(cache->dir, sizeof(cache->dir)))
		return false;
	cache->mtime = source->st_mtim;
	cache->ctime = source->st_ctim;
	cache->owner = geteuid();
	snprintf(cache->entry, sizeof(cache->entry), "%x-%jx-%jx-%jx-%jx.%lx-%jx.%lx" EVICT_KERNEL,
		FORMAT, (uintmax_t)source->st_dev, (uintmax_t)source->st_ino,
		(uintmax_t)source->st_size, (uintmax_t)source->st_mtim.tv_sec,
		(unsigned long)source->st_mtim.tv_nsec, (uintmax_t)source->st_ctim.tv_sec,
		(unsigned long)source->st_ctim.tv_nsec);
	return true;
}

/* ---- find ---- */

int cache_explain(const struct cache *cache, int err, struct diag *diag)
{
	return cachedir_explain(cache->dir, err, diag);
}

int cache_open(struct cache *cache, struct diag *diag)
{
	int fd = cachedir_open(cache->dir, cache->owner, diag);

	if (fd < 0)
		return fd;
	cache->dir_fd = fd;
	return 0;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_sound(const struct cache *cache, const struct stat *entry)
{
	return cachedir_trusts(entry, cache->owner) && entry->st_size > 0 &&
	       same_time(entry->st_mtim, cache->mtime);
}

/* Whether it counts as used of late decides who goes first when room is needed. */
static void mark_used(int fd, const struct stat *entry)
{
	static const struct timespec times[] = { { .tv_nsec = UTIME_NOW },
		{ .tv_nsec = UTIME_OMIT } };

	if (time(NULL) - entry->st_atim.tv_sec > ATIME_STEP_S)
		(void)futimens(fd, times); /* a wrong age harms nobody */
}

int cache_find(const struct cache *cache, uint64_t *size)
{
	struct stat st;
	int fd = openat(
		cache->dir_fd, cache->entry, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);

	if (fd < 0)
		return -1;
	if (fstat(fd, &st) || !is_sound(cache, &st)) {
		close(fd);
		return -1;
	}
	mark_used(fd, &st);
	*size = (uint64_t)st.st_size;
	return fd;
}

void cache_drop(const struct cache *cache)
{
	unlinkat(cache->dir_fd, cache->entry, 0);
}

/* ---- make ---- */

/* One process unpacks at a time, so that those started together unpack once; but none waits for
 * ever, and none needs the lock: without it, two do the same work and one result is kept.
 */
static void lock_dir(const struct cache *cache)
{
	static const struct timespec step = { .tv_nsec = LOCK_STEP_MS * 1000000 };

	for (int waited = 0; waited < LOCK_WAIT_MS; waited += LOCK_STEP_MS) {
		if (!flock(cache->dir_fd, LOCK_EX | LOCK_NB) || errno != EWOULDBLOCK)
			return;
		nanosleep(&step, NULL);
	}
}

/* A file written to twice within a tick has the same times and two contents.  Let the tick pass. */
static void settle(const struct cache *cache)
{
	struct timespec now, wait = { .tv_nsec = SETTLE_NS };
	int64_t age;

	clock_gettime(CLOCK_REALTIME_COARSE, &now);
	if (now.tv_sec - cache->ctime.tv_sec > 1)
		return;
	age = (int64_t)(now.tv_sec - cache->ctime.tv_sec) * 1000000000 + now.tv_nsec -
	      cache->ctime.tv_nsec;
	if (age < SETTLE_NS)
		nanosleep(&wait, NULL);
}

int cache_begin(struct cache *cache, struct diag *diag)
{
	int ret = cachedir_max_size(&cache->max_size, diag);

	if (ret < 0)
		return ret;
	if (cache->dir_fd < 0) {
		ret = cachedir_make(cache->dir, diag);
		if (!ret)
			ret = cache_open(cache, diag);
		if (ret < 0)
			return ret;
	}
	lock_dir(cache);
	settle(cache);
	return 0;
}

int cache_create(struct cache *cache, struct diag *diag)
{
	int ret = newfile_create(&cache->file, cache->dir_fd, 0600, cache->always_name);

	return ret < 0 ? cache_explain(cache, ret, diag) : 0;
}

int cache_publish(struct cache *cache, uint64_t size, struct diag *diag)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_NOW }, cache->mtime };
	int ret;

	if (!evict_make_room(cache->dir_fd, size, cache->max_size))
		return 0;
	gather_pages(cache->file.fd, size);
	if (fchmod(cache->file.fd, 0400) || futimens(cache->file.fd, times))
		ret = -errno;
	else
		ret = newfile_link(&cache->file, cache->entry);
	return ret && ret != -EEXIST ? cache_explain(cache, ret, diag) : 0;
}

void cache_end(struct cache *cache)
{
	newfile_discard(&cache->file);
	if (cache->dir_fd >= 0)
		close(cache->dir_fd);
	cache->dir_fd = -1;
}
