// SPDX-License-Identifier: MIT
/* disk_open.c - open a disk's file, lock it, and see what it is */

#include "host/disk_parts.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 4096u

static bool is_written(const struct disk_spec *spec)
{
	return !spec->read_only && spec->overlay == DISK_OVERLAY_NONE;
}

static int refuse_open(const struct disk_spec *spec, int err, struct diag *diag)
{
	const char *path = spec->path;

	switch (err) {
	case ENOENT:
		return diag_fail(diag, err,
			"%.300s: there is no such file; `truncate -s 1G %.300s` makes an empty disk",
			path, path);
	case EISDIR:
		return diag_fail(diag, err,
			"%.300s: is a directory; a disk is a file or a block device", path);
	case EACCES:
	case EPERM:
	case EROFS:
		return diag_fail(diag, err, "%.300s: cannot open for %s: %s%s", path,
			is_written(spec) ? "reading and writing" : "reading", error_text(err),
			is_written(spec) ? "; `ro` leaves it unwritten, and so does `overlay`"
					 : "");
	case EBUSY:
		return diag_fail(diag, err,
			"%.300s: the host uses it (it is mounted, or a part of something that is)",
			path);
	case EINVAL:
		if (spec->direct)
			return diag_fail(diag, err,
				"%.300s: its file system has no direct I/O; leave out `direct`",
				path);
		break;
	default: break;
	}
	return diag_fail(diag, err, "%.300s: cannot open: %s", path, error_text(err));
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	if (S_ISBLK(a->st_mode))
		return S_ISBLK(b->st_mode) && a->st_rdev == b->st_rdev;
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* Whether the disk has what `path` leads to, or `fd` unless that is -1, open already. */
static bool has_open(const struct disk *disk, const char *path, int fd)
{
	struct stat has, st;

	if (file_stat(disk->fd, &has) || (fd >= 0 ? file_stat(fd, &st) : stat(path, &st)))
		return false;
	return is_same(&st, &has);
}

static bool leads_to(const char *path, const struct stat *st)
{
	struct stat other;

	return path && !stat(path, &other) && is_same(st, &other);
}

/* O_NONBLOCK, so that a FIFO does not keep us.  A block device is ours alone, by O_EXCL, unless we
 * only read it, or the disk has it already.
 */
static int open_flags(const struct disk_spec *spec, const char *before)
{
	int flags = is_written(spec) ? O_RDWR : O_RDONLY;
	struct stat st;

	if (!stat(spec->path, &st) && S_ISBLK(st.st_mode) && is_written(spec) &&
		!leads_to(before, &st))
		flags |= O_EXCL;
	return flags | (spec->direct ? O_DIRECT : 0) | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
}

/* Then without O_NONBLOCK, for io_uring takes it at its word. */
int disk_open_path(const struct disk_spec *spec, const char *before, struct diag *diag)
{
	int fd = open(spec->path, open_flags(spec, before));

	if (fd < 0)
		return refuse_open(spec, errno, diag);
	if (!fcntl(fd, F_SETFL, spec->direct ? O_DIRECT : 0))
		return fd;
	diag_fail(diag, errno, "%.300s: fcntl: %s", spec->path, error_text(errno));
	close(fd);
	return -EIO;
}

/* What is open already keeps its lock, and its hold on a device, which would keep us out as well as
 * others.
 */
static int open_file(struct disk *disk, const struct disk_spec *spec, const struct disk *before,
	int fd, struct diag *diag)
{
	disk->path = strdup(spec->path);
	if (!disk->path)
		return diag_fail(diag, ENOMEM, "out of memory");
	if (before && has_open(before, spec->path, fd))
		fd = before->fd;
	if (fd < 0) {
		disk->fd = disk_open_path(spec, NULL, diag);
		return disk->fd < 0 ? disk->fd : 0;
	}
	disk->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	return disk->fd < 0 ? refuse_open(spec, errno, diag) : 0;
}

/* Locks of open file descriptions, which other monitors heed, too.  Some file systems have none. */
static int lock_file(const struct disk *disk, const struct disk_spec *spec, struct diag *diag)
{
	struct flock lock = {
		.l_type = is_written(spec) ? F_WRLCK : F_RDLCK,
		.l_whence = SEEK_SET,
	};

	if (!fcntl(disk->fd, F_OFD_SETLK, &lock))
		return 0;
	if (errno != EAGAIN && errno != EACCES) {
		log_info("%s: cannot be locked: %s", spec->path, error_text(errno));
		return 0;
	}
	return diag_fail(diag, EBUSY,
		is_written(spec)
			? "%.300s: is in use, by another program or as another disk; two cannot "
			  "write to one: end that program, or give the disk `overlay`"
			: "%.300s: another program writes to it, or another disk; end that program, "
			  "or copy the file",
		spec->path);
}

/* With direct I/O the host says what its parts must be aligned to, by refusing less. */
static uint32_t direct_block_size(int fd)
{
	static _Alignas(BLOCK) uint8_t block[BLOCK];

	return pread(fd, block, DISK_SECTOR, 0) == DISK_SECTOR ? DISK_SECTOR : BLOCK;
}

static int see_device(struct disk *disk, struct diag *diag)
{
	unsigned int good = 0;
	int logical = 0;

	if (ioctl(disk->fd, BLKGETSIZE64, &disk->size) || ioctl(disk->fd, BLKSSZGET, &logical))
		return diag_fail(diag, errno, "%.300s: cannot see its size: %s", disk->path,
			error_text(errno));
	ioctl(disk->fd, BLKPBSZGET, &good);
	disk->is_block_device = true;
	disk->block_size = (uint32_t)logical;
	disk->good_size = good;
	return 0;
}

static int see_file(struct disk *disk, const struct disk_spec *spec, struct diag *diag)
{
	struct stat st;

	if (file_stat(disk->fd, &st))
		return diag_fail(
			diag, errno, "%.300s: cannot stat: %s", disk->path, error_text(errno));
	if (S_ISBLK(st.st_mode))
		return see_device(disk, diag);
	if (S_ISDIR(st.st_mode))
		return refuse_open(spec, EISDIR, diag);
	if (!S_ISREG(st.st_mode))
		return diag_fail(diag, EINVAL,
			"%.300s: is neither a file nor a block device, so it is no disk",
			disk->path);
	disk->size = (uint64_t)st.st_size;
	disk->changed = st.st_mtim;
	disk->block_size = spec->direct ? direct_block_size(disk->fd) : DISK_SECTOR;
	disk->good_size = BLOCK;
	return 0;
}

/* The guest knows the disk by them. */
static int keep_block_size(struct disk *disk, const struct disk *before, struct diag *diag)
{
	if (disk->block_size > before->block_size)
		return diag_fail(diag, EINVAL,
			"%.300s: has blocks of %u bytes, and the guest knows the disk by blocks of %u",
			disk->path, disk->block_size, before->block_size);
	disk->block_size = before->block_size;
	return 0;
}

static int cut_to_blocks(struct disk *disk, const struct disk_spec *spec, struct diag *diag)
{
	uint64_t rest = disk->size % disk->block_size;

	disk->size -= rest;
	if (!disk->size && (!spec->may_be_empty || spec->overlay != DISK_OVERLAY_NONE))
		return diag_fail(diag, EINVAL,
			"%.300s: is %s; `truncate -s 1G %.300s` makes it larger", disk->path,
			rest ? "shorter than a block" : "empty", disk->path);
	if (rest)
		log_warn(
			"%s: its last %llu bytes are no whole block of %u: the guest does not see them",
			disk->path, (unsigned long long)rest, disk->block_size);
	return 0;
}

int disk_open_file(struct disk *disk, const struct disk_spec *spec, const struct disk *before,
	int fd, struct diag *diag)
{
	int ret = open_file(disk, spec, before, fd, diag);

	if (!ret)
		ret = see_file(disk, spec, diag);
	if (!ret)
		ret = lock_file(disk, spec, diag);
	if (!ret && before)
		ret = keep_block_size(disk, before, diag);
	return ret ? ret : cut_to_blocks(disk, spec, diag);
}
