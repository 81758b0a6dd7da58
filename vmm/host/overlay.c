// SPDX-License-Identifier: MIT
/* overlay.c - what was written to a disk whose image is to stay as it is */

#include "host/overlay.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define SECTOR 512u
#define PAGE   4096u
#define ALIGN  MIB(1) /* of the sectors' place in the file */

#define MAGIC   "pronto overlay\n"
#define VERSION 2u

/* At the beginning of a file that is kept; little-endian.  The bits follow at PAGE. */
struct header {
	char magic[16];
	uint32_t version;
	uint32_t changed_ns;
	uint64_t size;     /* of the disk, in bytes */
	int64_t changed_s; /* when the image was changed last, since 1970; 0: it does not tell */
};

struct overlay {
	int fd;
	bool kept;
	uint64_t base;
	uint8_t *bits; /* one a sector */
	size_t bits_size;
	uint8_t *dirty; /* one byte a page of the bits: it has changed since it was saved */
	size_t n_pages;
	bool unsaved; /* some page has */
};

static size_t pages_of_bits(uint64_t size)
{
	return (size_t)(ALIGN_UP(size / SECTOR, PAGE * 8) / (PAGE * 8));
}

/* Memory that is taken from the host as it is touched. */
static int reserve_bits(struct overlay *overlay, uint64_t size, struct diag *diag)
{
	overlay->n_pages = pages_of_bits(size);
	overlay->bits_size = overlay->n_pages * PAGE;
	overlay->dirty = calloc(overlay->n_pages, 1);
	overlay->bits = mmap(NULL, overlay->bits_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (overlay->dirty && overlay->bits != MAP_FAILED)
		return 0;
	return diag_fail(diag, ENOMEM, "out of memory");
}

static struct overlay *overlay_new(struct diag *diag)
{
	struct overlay *overlay = malloc(sizeof(*overlay));

	if (overlay)
		*overlay = (struct overlay){ .fd = -1, .bits = MAP_FAILED };
	else
		diag_fail(diag, ENOMEM, "out of memory");
	return overlay;
}

/* ---- one that goes with the process ---- */

static int open_unnamed(const char *dir, struct diag *diag)
{
	char path[4096];
	int fd = open(dir, O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);

	if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL))
		return fd >= 0 ? fd
		               : diag_fail(diag, errno,
					 "%.300s: cannot make a file: %s; TMPDIR names another place",
					 dir, error_text(errno));
	snprintf(path, sizeof(path), "%s/pronto-XXXXXX", dir);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return diag_fail(diag, errno,
			"%.300s: cannot make a file: %s; TMPDIR names another place", dir,
			error_text(errno));
	unlink(path);
	return fd;
}

static const char *place_for_unnamed(void)
{
	const char *dir = getenv("TMPDIR");

	return dir && *dir ? dir : "/var/tmp";
}

struct overlay *overlay_create(uint64_t size, struct diag *diag)
{
	struct overlay *overlay = overlay_new(diag);
	int ret;

	if (!overlay)
		return NULL;
	overlay->fd = open_unnamed(place_for_unnamed(), diag);
	ret = overlay->fd < 0 ? overlay->fd : reserve_bits(overlay, size, diag);
	if (!ret && ftruncate(overlay->fd, (off_t)size))
		ret = diag_fail(diag, errno, "cannot make a file of %llu bytes: %s",
			(unsigned long long)size, error_text(errno));
	if (!ret)
		return overlay;
	overlay_close(overlay);
	return NULL;
}

/* ---- the same in two processes ---- */

static int copy_range(int from, int to, off_t at, off_t end)
{
	off_t out = at;

	while (at < end) {
		ssize_t n = copy_file_range(from, &at, to, &out, (size_t)(end - at), 0);

		if (n < 0 && errno != EINTR)
			return -errno;
		if (!n)
			return -EIO;
	}
	return 0;
}

/* Holes stay holes; a file system that can has both share what they have. */
static int copy_file(int from, int to, off_t size)
{
	off_t at = 0, end;
	int ret = 0;

	if (!ioctl(to, FICLONE, from))
		return 0;
	if (ftruncate(to, size))
		return -errno;
	while (!ret && (at = lseek(from, at, SEEK_DATA)) >= 0 && at < size) {
		end = lseek(from, at, SEEK_HOLE);
		ret = end < 0 ? -errno : copy_range(from, to, at, end < size ? end : size);
		at = end;
	}
	return ret;
}

static int copy_unnamed(int from, int to, uint64_t size, struct diag *diag)
{
	int ret = copy_file(from, to, (off_t)size);

	return ret ? diag_fail(diag, -ret, "what was written to it cannot be copied: %s",
			     error_text(-ret))
	           : 0;
}

int overlay_copy(const struct overlay *overlay, uint64_t size, struct diag *diag)
{
	int fd = open_unnamed(place_for_unnamed(), diag), ret;

	if (fd < 0)
		return fd;
	ret = copy_unnamed(overlay->fd, fd, size, diag);
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

int overlay_take(
	struct overlay *overlay, struct overlay *from, int fd, uint64_t size, struct diag *diag)
{
	int ret = copy_unnamed(fd, overlay->fd, size, diag);

	if (ret)
		return ret;
	munmap(overlay->bits, overlay->bits_size);
	overlay->bits = from->bits;
	from->bits = MAP_FAILED;
	return 0;
}

/* ---- one that is kept ---- */

/* Its name is on stable storage, too, where the file system does such things. */
static void sync_name(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;

	if (fd >= 0) {
		fsync(fd);
		close(fd);
	}
	free(copy);
}

static int write_header(const struct overlay *overlay, uint64_t size,
	const struct timespec *changed, const char *path)
{
	struct header header = { .magic = MAGIC, .version = VERSION, .size = size };
	int ret;

	if (changed) {
		header.changed_s = changed->tv_sec;
		header.changed_ns = (uint32_t)changed->tv_nsec;
	}
	ret = file_write_at(overlay->fd, &header, sizeof(header), 0);
	if (!ret && (ftruncate(overlay->fd, (off_t)(overlay->base + size)) || fsync(overlay->fd)))
		ret = -errno;
	if (ret)
		(void)!ftruncate(overlay->fd, 0);
	else
		sync_name(path);
	return ret;
}

/* A copy may be where whole seconds are kept. */
static bool is_same_time(const struct header *header, const struct timespec *changed)
{
	return !changed || !header->changed_s ||
	       (changed->tv_sec == header->changed_s &&
		       (!changed->tv_nsec || changed->tv_nsec == header->changed_ns));
}

/* The file is the user's, and may be anything. */
static int read_header(const struct overlay *overlay, uint64_t size, uint64_t file_size,
	const struct timespec *changed, const char *path, struct diag *diag)
{
	struct header header;

	if (file_read_at(overlay->fd, &header, sizeof(header), 0) ||
		memcmp(header.magic, MAGIC, sizeof(header.magic)) != 0)
		return diag_fail(
			diag, EINVAL, "%.300s: is there, and is no overlay of pronto's", path);
	if (header.version != VERSION)
		return diag_fail(diag, EINVAL, "%.300s: is of version %u, and this is %u", path,
			header.version, VERSION);
	if (header.size != size)
		return diag_fail(diag, EINVAL,
			"%.300s: belongs to a disk of %llu bytes, and this one has %llu", path,
			(unsigned long long)header.size, (unsigned long long)size);
	if (!is_same_time(&header, changed))
		return diag_fail(diag, ESTALE,
			"%.300s: the image has been changed since this was made for it, and the two no "
			"longer fit; name another file, or, if what the image holds is the same, "
			"`touch -d @%lld.%09u` it",
			path, (long long)header.changed_s, header.changed_ns);
	if (file_size < overlay->base + size)
		return diag_fail(diag, EINVAL, "%.300s: has been cut short", path);
	if (file_read_at(overlay->fd, overlay->bits, overlay->bits_size, PAGE))
		return diag_fail(diag, EIO, "%.300s: cannot read which sectors it has", path);
	return 0;
}

static int open_kept(struct overlay *overlay, const char *path, uint64_t size,
	const struct timespec *changed, struct diag *diag)
{
	struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET };
	struct stat st;
	int ret;

	overlay->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0666);
	if (overlay->fd < 0 || fstat(overlay->fd, &st))
		return diag_fail(diag, errno, "%.300s: cannot open: %s", path, error_text(errno));
	if (!S_ISREG(st.st_mode))
		return diag_fail(diag, EINVAL, "%.300s: is no regular file", path);
	fcntl(overlay->fd, F_SETFL, 0);
	if (fcntl(overlay->fd, F_OFD_SETLK, &lock) && (errno == EAGAIN || errno == EACCES))
		return diag_fail(diag, EBUSY, "%.300s: is in use by another program", path);
	if (st.st_size)
		return read_header(overlay, size, (uint64_t)st.st_size, changed, path, diag);
	ret = write_header(overlay, size, changed, path);
	return ret ? diag_fail(diag, -ret, "%.300s: cannot write: %s", path, error_text(-ret)) : 0;
}

struct overlay *overlay_open(
	const char *path, uint64_t size, const struct timespec *changed, struct diag *diag)
{
	struct overlay *overlay = overlay_new(diag);
	int ret;

	if (!overlay)
		return NULL;
	overlay->kept = true;
	overlay->base = ALIGN_UP(PAGE + pages_of_bits(size) * PAGE, ALIGN);
	ret = reserve_bits(overlay, size, diag);
	if (!ret)
		ret = open_kept(overlay, path, size, changed, diag);
	if (!ret)
		return overlay;
	overlay_close(overlay);
	return NULL;
}

static int save_bits(const struct overlay *overlay)
{
	int ret = 0;

	for (size_t i = 0; i < overlay->n_pages && !ret; i++)
		if (overlay->dirty[i])
			ret = file_write_at(overlay->fd, overlay->bits + i * PAGE, PAGE,
				PAGE + (uint64_t)i * PAGE);
	return ret;
}

/* Pages stay dirty until they are where they have to be: what the host could not write once, it
 * takes for written the next time.
 */
int overlay_sync(struct overlay *overlay)
{
	int ret;

	if (!overlay->kept)
		return 0;
	if (fdatasync(overlay->fd))
		return -errno;
	if (!overlay->unsaved)
		return 0;
	ret = save_bits(overlay);
	if (!ret && fdatasync(overlay->fd))
		ret = -errno;
	if (ret)
		return ret;
	memset(overlay->dirty, 0, overlay->n_pages);
	overlay->unsaved = false;
	return 0;
}

int overlay_save(struct overlay *overlay)
{
	return overlay->unsaved ? overlay_sync(overlay) : 0;
}

/* What the guest has not flushed it may lose, but need not. */
int overlay_close(struct overlay *overlay)
{
	int ret = overlay_save(overlay);

	if (overlay->bits != MAP_FAILED)
		munmap(overlay->bits, overlay->bits_size);
	free(overlay->dirty);
	if (overlay->fd >= 0)
		close(overlay->fd);
	free(overlay);
	return ret;
}

/* ---- the bits ---- */

int overlay_fd(const struct overlay *overlay)
{
	return overlay->fd;
}

uint64_t overlay_base(const struct overlay *overlay)
{
	return overlay->base;
}

static bool has(const struct overlay *overlay, uint64_t sector)
{
	return overlay->bits[sector / 8] >> sector % 8 & 1;
}

uint64_t overlay_run(const struct overlay *overlay, uint64_t offset, uint64_t size, bool *here)
{
	uint64_t first = offset / SECTOR, end = (offset + size) / SECTOR, i = first + 1;

	*here = has(overlay, first);
	while (i < end && has(overlay, i) == *here)
		i++;
	return (i - first) * SECTOR;
}

void overlay_mark(struct overlay *overlay, uint64_t offset, uint64_t size)
{
	for (uint64_t i = offset / SECTOR; i < (offset + size) / SECTOR; i++) {
		if (has(overlay, i))
			continue;
		overlay->bits[i / 8] |= (uint8_t)(1u << i % 8);
		overlay->dirty[i / 8 / PAGE] = 1;
		overlay->unsaved = true;
	}
}
