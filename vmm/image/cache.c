// SPDX-License-Identifier: MIT
/* cache.c - unpacked kernels, kept from one run to the next */

#include "image/cache.h"

#include "image/evict.h"
#include "image/gather.h"
#include "util/bits.h"
#include "util/size.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* Part of each name: entries of another version are never found, and age out. */
#define FORMAT       1
#define SIZE_VAR     "PRONTO_CACHE_SIZE"
#define DEFAULT_SIZE GIB(1)

/* An hour-old kernel is in use as much as a minute-old one: do not write at every start. */
#define ATIME_STEP_S 60

#define LOCK_WAIT_MS 10000
#define LOCK_STEP_MS 5

/* Two ticks of the kernel's slowest clock, from which file times are taken. */
#define SETTLE_NS 20000000

/* ---- where ---- */

static bool find_dir(char *dir, size_t size)
{
	const char *xdg = getenv("XDG_CACHE_HOME");
	const char *home = getenv("HOME");
	int n;

	/* The XDG rules have relative paths ignored. */
	if (xdg && xdg[0] == '/')
		n = snprintf(dir, size, "%s/pronto", xdg);
	else if (home && home[0] == '/')
		n = snprintf(dir, size, "%s/.cache/pronto", home);
	else
		return false;
	return n > 0 && (size_t)n < size;
}

bool cache_locate(struct cache *cache, const struct stat *source)
{
	memset(cache, 0, sizeof(*cache));
	cache->dir_fd = -1;
	cache->new_fd = -1;
	if (!find_dir(cache->dir, sizeof(cache->dir)))
		return false;
	cache->mtime = source->st_mtim;
	cache->ctime = source->st_ctim;
	snprintf(cache->entry, sizeof(cache->entry), "%x-%jx-%jx-%jx-%jx.%lx-%jx.%lx" EVICT_KERNEL,
		FORMAT, (uintmax_t)source->st_dev, (uintmax_t)source->st_ino,
		(uintmax_t)source->st_size, (uintmax_t)source->st_mtim.tv_sec,
		(unsigned long)source->st_mtim.tv_nsec, (uintmax_t)source->st_ctim.tv_sec,
		(unsigned long)source->st_ctim.tv_nsec);
	return true;
}

/* ---- find ---- */

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool is_sound(const struct cache *cache, const struct stat *entry)
{
	return S_ISREG(entry->st_mode) && entry->st_uid == geteuid() &&
	       !(entry->st_mode & (S_IWGRP | S_IWOTH)) && entry->st_nlink == 1 &&
	       entry->st_size > 0 && same_time(entry->st_mtim, cache->mtime);
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
	char path[PATH_MAX + sizeof(cache->entry) + 1];
	struct stat st;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", cache->dir, cache->entry);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
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
	char path[PATH_MAX + sizeof(cache->entry) + 1];

	snprintf(path, sizeof(path), "%s/%s", cache->dir, cache->entry);
	unlink(path);
}

/* ---- make ---- */

int cache_explain(const struct cache *cache, int err, struct diag *diag)
{
	return diag_fail(diag, -err,
		"nothing can be kept in %.300s: %s (--no-cache goes without it)", cache->dir,
		strerror(-err));
}

static int read_limit(struct cache *cache, struct diag *diag)
{
	const char *text = getenv(SIZE_VAR);

	cache->max_size = DEFAULT_SIZE;
	if (text && !size_parse(text, &cache->max_size))
		return diag_fail(diag, EINVAL,
			"the environment's " SIZE_VAR
			"=%.40s is not a size: give bytes, or a number with K, M, G or T",
			text);
	return 0;
}

/* Every directory of the path, as `mkdir -p` does it. */
static int make_dirs(const struct cache *cache)
{
	char path[PATH_MAX];

	memcpy(path, cache->dir, sizeof(path));
	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			return -errno;
		*slash = '/';
	}
	return mkdir(path, 0700) && errno != EEXIST ? -errno : 0;
}

static int open_dir(struct cache *cache, struct diag *diag)
{
	static const int flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
	struct stat st;
	int ret = 0;

	cache->dir_fd = open(cache->dir, flags);
	if (cache->dir_fd < 0 && errno == ENOENT) {
		ret = make_dirs(cache);
		if (!ret)
			cache->dir_fd = open(cache->dir, flags);
	}
	if (!ret && cache->dir_fd < 0)
		ret = -errno;
	if (!ret && fstat(cache->dir_fd, &st))
		ret = -errno;
	if (!ret && st.st_uid != geteuid())
		return diag_fail(diag, EPERM,
			"the cache directory %.300s belongs to another user: set XDG_CACHE_HOME, or give --no-cache",
			cache->dir);
	if (!ret && (st.st_mode & 077) && fchmod(cache->dir_fd, 0700))
		ret = -errno;
	return ret ? cache_explain(cache, ret, diag) : 0;
}

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
	int ret = read_limit(cache, diag);

	if (ret < 0)
		return ret;
	ret = open_dir(cache, diag);
	if (ret < 0) {
		cache_end(cache);
		return ret;
	}
	lock_dir(cache);
	settle(cache);
	return 0;
}

int cache_create(struct cache *cache, struct diag *diag)
{
	if (!cache->always_name) {
		cache->new_fd = openat(cache->dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (cache->new_fd >= 0)
			return 0;
		/* What file systems without unnamed files say. */
		if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
			return cache_explain(cache, -errno, diag);
	}
	for (unsigned int i = 0; i < 100; i++) {
		snprintf(cache->temp, sizeof(cache->temp), EVICT_TEMP_PREFIX "%x-%x", getpid(), i);
		cache->new_fd = openat(
			cache->dir_fd, cache->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
		if (cache->new_fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	cache->temp[0] = '\0';
	return cache_explain(cache, -errno, diag);
}

static int link_new(struct cache *cache)
{
	char path[32];

	if (cache->temp[0])
		return linkat(cache->dir_fd, cache->temp, cache->dir_fd, cache->entry, 0);
	/* The first way needs a privilege on kernels before 6.10, the second needs /proc. */
	if (!linkat(cache->new_fd, "", cache->dir_fd, cache->entry, AT_EMPTY_PATH))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", cache->new_fd);
	return linkat(AT_FDCWD, path, cache->dir_fd, cache->entry, AT_SYMLINK_FOLLOW);
}

static void remove_temp(struct cache *cache)
{
	if (cache->temp[0])
		unlinkat(cache->dir_fd, cache->temp, 0);
	cache->temp[0] = '\0';
}

int cache_publish(struct cache *cache, uint64_t size, struct diag *diag)
{
	const struct timespec times[] = { { .tv_nsec = UTIME_NOW }, cache->mtime };
	int ret = 0;

	if (!evict_make_room(cache->dir_fd, size, cache->max_size)) {
		remove_temp(cache);
		return 0;
	}
	gather_pages(cache->new_fd, size);
	if (fchmod(cache->new_fd, 0400) || futimens(cache->new_fd, times))
		ret = -errno;
	else if (link_new(cache) && errno != EEXIST)
		ret = -errno;
	remove_temp(cache);
	return ret ? cache_explain(cache, ret, diag) : 0;
}

void cache_end(struct cache *cache)
{
	remove_temp(cache);
	if (cache->new_fd >= 0)
		close(cache->new_fd);
	if (cache->dir_fd >= 0)
		close(cache->dir_fd);
	cache->new_fd = -1;
	cache->dir_fd = -1;
}
