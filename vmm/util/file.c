// SPDX-License-Identifier: MIT
/* file.c - open what a person named; read and write at a place in a file */

#include "util/file.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

static const char *kind_name(mode_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFDIR: return "a directory";
	case S_IFIFO: return "a FIFO";
	case S_IFSOCK: return "a socket";
	default: return "a device";
	}
}

int file_open_regular(const char *path, struct stat *st, struct diag *diag)
{
	/* O_NONBLOCK: opening a FIFO must not wait for its writer. */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	int ret;

	if (fd < 0)
		return diag_fail(diag, errno, "cannot open: %s", error_text(errno));
	if (fstat(fd, st))
		ret = diag_fail(diag, errno, "cannot stat: %s", error_text(errno));
	else if (!S_ISREG(st->st_mode))
		ret = diag_fail(diag, EINVAL, "is %s; give a regular file", kind_name(st->st_mode));
	else if (!st->st_size)
		ret = diag_fail(diag, EINVAL, "is empty");
	else
		return fd;
	close(fd);
	return ret;
}

int file_open_in(int root_fd, const char *path, int flags)
{
	int more = O_CLOEXEC | (flags & O_PATH ? 0 : O_NONBLOCK | O_NOCTTY);
	struct open_how how = {
		.flags = (unsigned int)(flags | more),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd;

	fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));
	return fd < 0 ? -errno : fd;
}

int64_t file_read_some(int fd, void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	if (offset > INT64_MAX - size)
		return 0;
	while (done < size) {
		ssize_t n = pread(fd, (char *)data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		done += (size_t)n;
	}
	return (int64_t)done;
}

int file_read_at(int fd, void *data, size_t size, uint64_t offset)
{
	int64_t n = file_read_some(fd, data, size, offset);

	if (n < 0)
		return (int)n;
	return (size_t)n == size ? 0 : -ENODATA;
}

int file_write_at(int fd, const void *data, size_t size, uint64_t offset)
{
	size_t done = 0;

	while (done < size) {
		ssize_t n = pwrite(
			fd, (const char *)data + done, size - done, (off_t)(offset + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Here the kernel's struct is the library's. */
int file_stat(int fd, struct stat *st)
{
	return syscall(SYS_fstat, fd, st) ? -errno : 0;
}
