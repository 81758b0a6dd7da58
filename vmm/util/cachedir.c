// SPDX-License-Identifier: MIT
/* cachedir.c - the user's directory for what is kept from one run to the next */

#include "util/cachedir.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/size.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define SIZE_VAR     "PRONTO_CACHE_SIZE"
#define DEFAULT_SIZE GIB(1)

int cachedir_max_size(uint64_t *size, struct diag *diag)
{
	const char *text = getenv(SIZE_VAR);

	*size = DEFAULT_SIZE;
	if (text && !size_parse(text, size))
		return diag_fail(diag, EINVAL,
			"the environment's " SIZE_VAR
			"=%.40s is not a size: give bytes, or a number with K, M, G or T",
			text);
	return 0;
}

bool cachedir_find(char *dir, size_t size)
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

int cachedir_explain(const char *dir, int err, struct diag *diag)
{
	return diag_fail(diag, -err, "nothing can be kept in %.300s: %s", dir, error_text(-err));
}

/* The last name of the path must not be a link: whoever could place one would choose which of our
 * directories is used.  Nothing of it is changed.
 */
int cachedir_open(const char *dir, uid_t owner, struct diag *diag)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;
	int ret = 0;

	if (fd < 0 || fstat(fd, &st))
		ret = cachedir_explain(dir, -errno, diag);
	else if (st.st_uid != owner)
		ret = diag_fail(diag, EPERM,
			"the cache directory %.300s belongs to another user: set XDG_CACHE_HOME",
			dir);
	else if (st.st_mode & (S_IWGRP | S_IWOTH))
		ret = diag_fail(diag, EPERM,
			"the cache directory %.300s can be written by others: chmod go-w it, or set XDG_CACHE_HOME",
			dir);
	if (!ret)
		return fd;
	if (fd >= 0)
		close(fd);
	return ret;
}

/* Every directory of the path, as `mkdir -p` does it. */
bool cachedir_trusts(const struct stat *file, uid_t owner)
{
	return S_ISREG(file->st_mode) && file->st_uid == owner &&
	       !(file->st_mode & (S_IWGRP | S_IWOTH)) && file->st_nlink == 1;
}

int cachedir_make(const char *dir, struct diag *diag)
{
	char path[PATH_MAX];
	int ret = 0;

	snprintf(path, sizeof(path), "%s", dir);
	for (char *slash = strchr(path + 1, '/'); slash && !ret; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		if (mkdir(path, 0700) && errno != EEXIST)
			ret = -errno;
		*slash = '/';
	}
	if (!ret && mkdir(path, 0700) && errno != EEXIST)
		ret = -errno;
	return ret ? cachedir_explain(dir, ret, diag) : 0;
}
