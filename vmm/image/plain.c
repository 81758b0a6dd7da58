// SPDX-License-Identifier: MIT
/* plain.c - step 3: from a kernel file to a file that holds the plain ELF */

#include "image/plain.h"

#include "image/apart.h"
#include "util/error.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

/* In the place of an unpacked kernel that nobody needs: pvh-shim takes the bzImage as it is. */
static const char no_entry_mark[] = "pronto: this kernel has no PVH entry\n";

static struct unpack_job job_for(const struct image_source *source, const struct image_kind *kind)
{
	return (struct unpack_job){
		.in_fd = source->fd,
		.in_offset = kind->offset,
		.in_size = kind->size,
		.max_size = IMAGE_MAX_FILE,
		.max_total = kind->init_size,
	};
}

/* ---- in memory ---- */

/* What a tmpfs may take unless told otherwise; all of it would leave nothing for the guest. */
static uint64_t memory_limit(void)
{
	uint64_t half = (uint64_t)sysconf(_SC_PHYS_PAGES) / 2 * (uint64_t)sysconf(_SC_PAGESIZE);

	return half < IMAGE_MAX_FILE ? half : IMAGE_MAX_FILE;
}

/* The limit on the size of files is for what stays: a memory file does not, but the kernel counts
 * it.  Lifted as far as we may.
 */
static void lift_file_limit(struct rlimit *saved)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY }, most;

	if (getrlimit(RLIMIT_FSIZE, saved) || saved->rlim_cur == RLIM_INFINITY)
		return;
	most = (struct rlimit){ saved->rlim_max, saved->rlim_max };
	if (setrlimit(RLIMIT_FSIZE, &none))
		(void)setrlimit(RLIMIT_FSIZE, &most);
}

static int unpack_in_memory(struct plain *plain, const struct image_source *source,
	const struct image_kind *kind, struct diag *diag)
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	struct unpack_job job = job_for(source, kind);
	struct rlimit limit;
	int ret;

	plain->fd = memfd_create("kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (plain->fd < 0)
		return diag_fail(
			diag, errno, "no memory file to unpack it to: %s", error_text(errno));
	job.out_fd = plain->fd;
	job.max_size = memory_limit();
	lift_file_limit(&limit);
	ret = apart_unpack(unpack, kind->compression, &job, diag);
	(void)setrlimit(RLIMIT_FSIZE, &limit);
	if (job.out_err == -EFBIG)
		return diag_fail(diag, EFBIG,
			"the host's limit on the size of files (ulimit -f) is too low to unpack it, even in memory: raise it, or give an uncompressed kernel");
	if (!ret && fcntl(plain->fd, F_ADD_SEALS, seals))
		ret = diag_fail(
			diag, errno, "cannot seal the unpacked kernel: %s", error_text(errno));
	plain->size = job.out_size;
	return ret;
}

/* ---- through the cache ---- */

static bool is_no_entry_mark(const struct plain *plain, const struct image_kind *kind)
{
	char text[sizeof(no_entry_mark) - 1];

	return kind->container == IMAGE_BZIMAGE && kind->has_entry_64 &&
	       plain->size == sizeof(text) && !file_read_at(plain->fd, text, sizeof(text), 0) &&
	       !memcmp(text, no_entry_mark, sizeof(text));
}

static bool find_in_cache(struct plain *plain, const struct image_kind *kind)
{
	plain->fd = cache_find(&plain->cache, &plain->size);
	plain->from_cache = plain->fd >= 0;
	if (plain->from_cache && is_no_entry_mark(plain, kind)) {
		close(plain->fd);
		plain->fd = -1;
		plain->no_entry = true;
	}
	return plain->from_cache;
}

/* 0; or -errno: of the cache, the reason in cache_fault; else of the kernel, the reason in diag. */
static int unpack_for_cache(struct plain *plain, const struct image_source *source,
	const struct image_kind *kind, struct diag *diag)
{
	struct unpack_job job = job_for(source, kind);
	int ret;

	cache_drop(&plain->cache);
	ret = cache_create(&plain->cache, &plain->cache_fault);
	if (ret < 0)
		return ret;
	job.out_fd = plain->cache.file.fd;
	ret = apart_unpack(unpack, kind->compression, &job, diag);
	if (job.out_err)
		return cache_explain(&plain->cache, job.out_err, &plain->cache_fault);
	plain->is_new = true;
	plain->fd = job.out_fd;
	plain->size = job.out_size;
	return ret;
}

static int go_through_cache(struct plain *plain, const struct image_source *source,
	const struct image_kind *kind, struct diag *diag)
{
	int ret = cache_open(&plain->cache, &plain->cache_fault);

	if (ret < 0 && ret != -ENOENT)
		return ret;
	plain->cache_fault.text[0] = '\0';
	if (!ret && find_in_cache(plain, kind))
		return 0;
	ret = cache_begin(&plain->cache, &plain->cache_fault);
	if (ret < 0)
		return ret;
	/* Whoever held the lock until now may have made it. */
	if (find_in_cache(plain, kind))
		return 0;
	return unpack_for_cache(plain, source, kind, diag);
}

/* ---- the step ---- */

int plain_open(struct plain *plain, struct image_source *source, const struct image_kind *kind,
	bool use_cache, struct diag *diag)
{
	int ret;

	plain->fd = -1;
	plain->size = 0;
	plain->from_cache = plain->no_entry = plain->is_new = false;
	plain->cache_fault.text[0] = '\0';
	plain->cache.dir_fd = plain->cache.file.fd = -1;
	if (kind->container == IMAGE_ELF) {
		plain->fd = source->fd;
		plain->size = source->size;
		source->fd = -1;
		return 0;
	}
	ret = unpack_check(kind->compression, diag);
	if (ret < 0)
		return ret;
	if (use_cache && cache_locate(&plain->cache, &source->st)) {
		ret = go_through_cache(plain, source, kind, diag);
		if (!plain->cache_fault.text[0])
			return ret;
		cache_end(&plain->cache);
	}
	return unpack_in_memory(plain, source, kind, diag);
}

/* 0, or -errno as write(2) has it. */
static int write_no_entry_mark(struct plain *plain)
{
	plain->size = sizeof(no_entry_mark) - 1;
	if (ftruncate(plain->fd, 0))
		return -errno;
	return file_write_at(plain->fd, no_entry_mark, plain->size, 0);
}

static void keep_no_entry(struct plain *plain)
{
	int ret = write_no_entry_mark(plain);

	if (ret < 0)
		cache_explain(&plain->cache, ret, &plain->cache_fault);
	else
		cache_publish(&plain->cache, plain->size, &plain->cache_fault);
	plain->no_entry = true;
	plain->fd = -1;
}

static void keep_elf(struct plain *plain)
{
	char path[32];
	int fd;

	cache_publish(&plain->cache, plain->size, &plain->cache_fault);
	/* Nobody who takes over this process gets to write to what the next one boots. */
	snprintf(path, sizeof(path), "/proc/self/fd/%d", plain->fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd >= 0)
		plain->fd = fd;
	else
		plain->cache.file.fd = -1; /* no /proc: this one is taken over */
}

int plain_keep(
	struct plain *plain, const struct image_source *source, bool no_entry, struct diag *diag)
{
	if (!plain->is_new)
		return 0;
	/* Torn contents must not be kept under a name that promises one of the two. */
	if (source_changed(source))
		return diag_fail(diag, EAGAIN, "the file changed while it was read: try again");
	if (no_entry)
		keep_no_entry(plain);
	else
		keep_elf(plain);
	plain->is_new = false;
	return 0;
}

int plain_take(struct plain *plain)
{
	cache_end(&plain->cache);
	return plain->fd;
}

void plain_close(struct plain *plain, bool drop)
{
	if (drop)
		cache_drop(&plain->cache);
	if (plain->fd >= 0 && !plain->is_new)
		close(plain->fd);
	cache_end(&plain->cache);
}
