// SPDX-License-Identifier: MIT
/* cgroup.c - a cgroup for a process, in cgroup2's hierarchy */

#include "confine/cgroup.h"

#include "util/error.h"
#include "util/file.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define TEXT 4096

/* ---- files ---- */

static int read_file(int dir_fd, const char *name, char text[TEXT])
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, text, TEXT - 1);
	int err = errno;

	if (fd >= 0)
		close(fd);
	text[n < 0 ? 0 : n] = '\0';
	return n < 0 ? -err : 0;
}

static int write_file(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	int err;

	if (fd < 0)
		return -errno;
	err = write(fd, text, strlen(text)) < 0 ? errno : 0;
	close(fd);
	return -err;
}

static bool has_word(const char *text, const char *word, size_t size)
{
	for (const char *at = text; (at = strstr(at, word)) != NULL; at += size)
		if ((at == text || at[-1] == ' ') && strchr(" \n", at[size]))
			return true;
	return false;
}

/* ---- the hierarchy ---- */

static bool is_name(const char *name, size_t size)
{
	return size && !(size <= 2 && !strncmp(name, "..", size));
}

bool cgroup_is_path(const char *path)
{
	size_t size = strcspn(path, "/");

	for (; is_name(path, size); path += size + 1, size = strcspn(path, "/"))
		if (!path[size])
			return true;
	return false;
}

/* Where we are, so that there is a way back. */
static void find_home(struct cgroup *cgroup)
{
	char text[TEXT], *at, *end;

	if (read_file(AT_FDCWD, "/proc/self/cgroup", text))
		return;
	at = strstr(text, "0::/");
	if (!at)
		return;
	at += strlen("0::");
	end = strchrnul(at, '\n');
	*end = '\0';
	cgroup->home_fd = file_open_in(cgroup->root_fd, at, O_RDONLY | O_DIRECTORY);
}

int cgroup_open(struct cgroup *cgroup, struct diag *diag)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	const struct mntent *mount = NULL;

	*cgroup = (struct cgroup){ .root_fd = -1, .fd = -1, .home_fd = -1 };
	if (!mounts)
		return diag_fail(diag, errno, "/proc/self/mounts: %s", error_text(errno));
	while ((mount = getmntent(mounts)) != NULL && strcmp(mount->mnt_type, "cgroup2"))
		continue;
	snprintf(cgroup->at, sizeof(cgroup->at), "%s", mount ? mount->mnt_dir : "");
	endmntent(mounts);
	if (!cgroup->at[0])
		return diag_fail(diag, ENODEV,
			"no cgroup2 is mounted on this host: mount -t cgroup2 none /sys/fs/cgroup");
	cgroup->root_fd = open(cgroup->at, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup->root_fd < 0)
		return diag_fail(diag, errno, "%s: %s", cgroup->at, error_text(errno));
	find_home(cgroup);
	return 0;
}

void cgroup_close(struct cgroup *cgroup)
{
	const int fds[] = { cgroup->root_fd, cgroup->fd, cgroup->home_fd };

	for (unsigned int i = 0; i < sizeof(fds) / sizeof(*fds); i++)
		if (fds[i] >= 0)
			close(fds[i]);
	cgroup->root_fd = cgroup->fd = cgroup->home_fd = -1;
}

int cgroup_find(struct cgroup *cgroup, const char *path, struct diag *diag)
{
	if (!cgroup_is_path(path))
		return diag_fail(diag, EINVAL,
			"%.200s: give the cgroup's path below %s, without /, . and .. at its "
			"beginning or in it",
			path, cgroup->at);
	snprintf(cgroup->path, sizeof(cgroup->path), "%s", path);
	cgroup->fd = file_open_in(cgroup->root_fd, path, O_RDONLY | O_DIRECTORY);
	if (cgroup->fd >= 0)
		return 0;
	return diag_fail(diag, -cgroup->fd, "%.200s: there is no such cgroup: mkdir %s/%.200s",
		path, cgroup->at, path);
}

/* ---- one of our own ---- */

/* Have the children of this cgroup have the controller of a FILE=VALUE. */
static int enable(const struct cgroup *cgroup, int dir_fd, const char *value, struct diag *diag)
{
	char controllers[TEXT], order[64];
	int size = (int)strcspn(value, ".="), ret;

	if (!strncmp(value, "cgroup.", strlen("cgroup.")))
		return 0;
	snprintf(order, sizeof(order), "+%.*s", size, value);
	ret = read_file(dir_fd, "cgroup.controllers", controllers);
	if (!ret && !has_word(controllers, order + 1, strlen(order + 1)))
		return diag_fail(diag, ENODEV,
			"%.100s: cgroup2 has no controller `%s` here, only: %.*s", value, order + 1,
			(int)strcspn(controllers, "\n"), controllers);
	if (!ret)
		ret = write_file(dir_fd, "cgroup.subtree_control", order);
	return ret ? diag_fail(diag, -ret,
			     "%.100s: the controller `%s` cannot be switched on above %s/%.100s: %s",
			     value, order + 1, cgroup->at, cgroup->path, error_text(-ret))
	           : 0;
}

/* One directory more; its descriptor takes the place of its parent's. */
static int step(struct cgroup *cgroup, int dir_fd, const char *name, struct diag *diag)
{
	int fd = -1, err = 0;

	if (!mkdirat(dir_fd, name, 0755))
		cgroup->n_made++;
	else if (errno != EEXIST)
		err = errno;
	if (!err) {
		fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
		err = fd < 0 ? errno : 0;
	}
	close(dir_fd);
	return err ? diag_fail(diag, err, "the cgroup %s/%.200s cannot be made: %s", cgroup->at,
			     cgroup->path, error_text(err))
	           : fd;
}

static int write_value(const struct cgroup *cgroup, const char *value, struct diag *diag)
{
	size_t size = strcspn(value, "=");
	char file[128];
	int ret;

	snprintf(file, sizeof(file), "%.*s", (int)size, value);
	ret = write_file(cgroup->fd, file, value + size + 1);
	return ret ? diag_fail(diag, -ret, "%s/%.200s/%s: %.60s cannot be written: %s", cgroup->at,
			     cgroup->path, file, value + size + 1, error_text(-ret))
	           : 0;
}

int cgroup_make(struct cgroup *cgroup, const char *parent, const char *name,
	const char *const *values, unsigned int n, struct diag *diag)
{
	char path[PATH_MAX], *rest = path, *part;
	int fd = fcntl(cgroup->root_fd, F_DUPFD_CLOEXEC, 0), ret = 0;

	if (fd < 0)
		return diag_fail(diag, errno, "%s: %s", cgroup->at, error_text(errno));
	snprintf(path, sizeof(path), "%.2000s/%.100s", parent, name);
	memcpy(cgroup->path, path, sizeof(path));
	while ((part = strsep(&rest, "/")) != NULL) {
		for (unsigned int i = 0; i < n && !ret; i++)
			ret = enable(cgroup, fd, values[i], diag);
		if (ret) {
			close(fd);
			return ret;
		}
		fd = step(cgroup, fd, part, diag);
		if (fd < 0)
			return fd;
	}
	cgroup->fd = fd;
	for (unsigned int i = 0; i < n && !ret; i++)
		ret = write_value(cgroup, values[i], diag);
	return ret;
}

int cgroup_join(struct cgroup *cgroup, struct diag *diag)
{
	int ret = write_file(cgroup->fd, "cgroup.procs", "0");

	return ret ? diag_fail(diag, -ret, "the cgroup %s/%.200s takes no process: %s%s",
			     cgroup->at, cgroup->path, error_text(-ret),
			     ret == -EBUSY ? " (one that has controllers for others has none)" : "")
	           : 0;
}

void cgroup_undo(struct cgroup *cgroup)
{
	char *end;

	if (cgroup->fd >= 0 && cgroup->home_fd >= 0)
		(void)write_file(cgroup->home_fd, "cgroup.procs", "0");
	for (; cgroup->n_made; cgroup->n_made--) {
		unlinkat(cgroup->root_fd, cgroup->path, AT_REMOVEDIR);
		end = strrchr(cgroup->path, '/');
		if (end)
			*end = '\0';
	}
}
