// SPDX-License-Identifier: MIT
/* file.c - open what a person named */

#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
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
		return diag_fail(diag, errno, "cannot open: %s", strerror(errno));
	if (fstat(fd, st))
		ret = diag_fail(diag, errno, "cannot stat: %s", strerror(errno));
	else if (!S_ISREG(st->st_mode))
		ret = diag_fail(diag, EINVAL, "is %s; give a regular file", kind_name(st->st_mode));
	else if (!st->st_size)
		ret = diag_fail(diag, EINVAL, "is empty");
	else
		return fd;
	close(fd);
	return ret;
}
