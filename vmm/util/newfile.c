// SPDX-License-Identifier: MIT
/* newfile.c - a file that appears under its name when it is whole, or not at all */

#include "util/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#define MAX_TRIES 100

static void choose_name(struct newfile *file, unsigned int i)
{
	snprintf(file->temp, sizeof(file->temp), NEWFILE_PREFIX "%x-%x", getpid(), i);
}

static int create_named(struct newfile *file, mode_t mode)
{
	for (unsigned int i = 0; i < MAX_TRIES; i++) {
		choose_name(file, i);
		file->fd = openat(
			file->dir_fd, file->temp, O_CREAT | O_EXCL | O_RDWR | O_CLOEXEC, mode);
		if (file->fd >= 0)
			return 0;
		if (errno != EEXIST)
			break;
	}
	file->temp[0] = '\0';
	return -errno;
}

int newfile_create(struct newfile *file, int dir_fd, mode_t mode, bool always_name)
{
	*file = (struct newfile){ .dir_fd = dir_fd, .fd = -1 };
	if (!always_name) {
		file->fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, mode);
		if (file->fd >= 0)
			return 0;
		/* What file systems without unnamed files say. */
		if (errno != EOPNOTSUPP && errno != EISDIR && errno != EINVAL)
			return -errno;
	}
	return create_named(file, mode);
}

static int link_to(struct newfile *file, const char *name)
{
	char path[32];

	/* The first way needs a privilege on kernels before 6.10, the second needs /proc. */
	if (!linkat(file->fd, "", file->dir_fd, name, AT_EMPTY_PATH))
		return 0;
	snprintf(path, sizeof(path), "/proc/self/fd/%d", file->fd);
	return linkat(AT_FDCWD, path, file->dir_fd, name, AT_SYMLINK_FOLLOW) ? -errno : 0;
}

static void remove_temp(struct newfile *file)
{
	if (file->temp[0])
		unlinkat(file->dir_fd, file->temp, 0);
	file->temp[0] = '\0';
}

int newfile_link(struct newfile *file, const char *name)
{
	int ret;

	if (!file->temp[0])
		return link_to(file, name);
	ret = linkat(file->dir_fd, file->temp, file->dir_fd, name, 0) ? -errno : 0;
	remove_temp(file);
	return ret;
}

/* Only a rename replaces, and only a name can be renamed. */
int newfile_replace(struct newfile *file, const char *name)
{
	int ret = file->temp[0] ? 0 : -EEXIST;

	for (unsigned int i = 0; ret == -EEXIST && i < MAX_TRIES; i++) {
		choose_name(file, i);
		ret = link_to(file, file->temp);
	}
	if (ret < 0) {
		file->temp[0] = '\0';
		return ret;
	}
	ret = renameat(file->dir_fd, file->temp, file->dir_fd, name) ? -errno : 0;
	if (!ret)
		file->temp[0] = '\0';
	remove_temp(file);
	return ret;
}

void newfile_discard(struct newfile *file)
{
	remove_temp(file);
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
}
