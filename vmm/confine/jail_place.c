// SPDX-License-Identifier: MIT
/* jail_place.c - a directory that is another program's root */

#include "confine/jail_place.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#define DIR_FLAGS (O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW)

static void note_made(struct jail_place *place, int dir_fd, const char *name, bool is_dir)
{
	struct made *made = &place->made[place->n_made++];

	BUG_ON(place->n_made > JAIL_MAX_MADE);
	made->dir_fd = dir_fd;
	made->is_dir = is_dir;
	snprintf(made->name, sizeof(made->name), "%s", name);
}

void jail_place_undo(struct jail_place *place)
{
	while (place->n_made) {
		const struct made *made = &place->made[--place->n_made];

		unlinkat(made->dir_fd, made->name, made->is_dir ? AT_REMOVEDIR : 0);
	}
}

static int fail(const struct jail_place *place, int err, const char *what, struct diag *diag)
{
	return diag_fail(diag, err, "%.200s/%.100s: %s%s", place->path, what, error_text(err),
		err == EEXIST ? ": there is a jail of this id: end it and remove it, or give "
				"another --id"
			      : "");
}

/* ---- directories ---- */

/* Its descriptor, which stays open. */
static int make_dir(struct jail_place *place, int at_fd, const char *name, mode_t mode)
{
	int fd;

	if (!mkdirat(at_fd, name, mode))
		note_made(place, at_fd, name, true);
	else if (errno != EEXIST)
		return -errno;
	fd = openat(at_fd, name, DIR_FLAGS);
	return fd < 0 ? -errno : fd;
}

/* One that is the user's alone. */
static int make_own_dir(
	struct jail_place *place, int at_fd, const char *name, const char *path, struct diag *diag)
{
	int fd = make_dir(place, at_fd, name, 0700);

	if (fd < 0)
		return fail(place, -fd, path, diag);
	if (fchmod(fd, 0700) || fchown(fd, place->uid, place->gid))
		return fail(place, errno, path, diag);
	return fd;
}

/* Whether others can change what is in it, and whether what is in it can be used. */
static int check_base(int fd, const char *base, struct diag *diag)
{
	struct statvfs fs;
	struct stat st;

	if (fstat(fd, &st) || fstatvfs(fd, &fs))
		return diag_fail(
			diag, errno, "--chroot-base-dir %.200s: %s", base, error_text(errno));
	if (st.st_mode & (S_IWGRP | S_IWOTH) || st.st_uid)
		log_warn("--chroot-base-dir %.200s: others can change what is in it, and so who is "
			 "in the jail: have it root's, and chmod go-w it",
			base);
	if (fs.f_flag & (ST_NODEV | ST_NOEXEC))
		return diag_fail(diag, EINVAL,
			"--chroot-base-dir %.200s: its file system is mounted %s: name another",
			base,
			fs.f_flag & ST_NODEV ? "nodev, so no device opens there"
					     : "noexec, so no program starts there");
	return 0;
}

static int make_root(struct jail_place *place, const char *base, const char *id, struct diag *diag)
{
	const char *const names[] = { place->program, id };
	int fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC), ret;

	if (fd < 0)
		return diag_fail(diag, errno,
			"--chroot-base-dir %.200s: %s: make it, or name another", base,
			error_text(errno));
	snprintf(place->path, sizeof(place->path), "%.2000s/%s/%.100s", base, place->program, id);
	ret = check_base(fd, base, diag);
	if (ret)
		return ret;
	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		fd = make_dir(place, fd, names[i], 0755);
		if (fd < 0)
			return diag_fail(diag, -fd, "%.300s: %s", place->path, error_text(-fd));
	}
	place->fd = make_own_dir(place, fd, "root", "root", diag);
	snprintf(place->path, sizeof(place->path), "%.2000s/%s/%.100s/root", base, place->program,
		id);
	return place->fd < 0 ? place->fd : 0;
}

/* ---- what is in it ---- */

static int copy(int from, int to, uint64_t size)
{
	while (size) {
		ssize_t n = sendfile(to, from, NULL, size);

		if (n <= 0)
			return n ? -errno : -EIO;
		size -= (uint64_t)n;
	}
	return 0;
}

/* Root's, so that whoever takes the program over leaves the file as it is. */
static int add_program(struct jail_place *place, const char *program, struct diag *diag)
{
	struct diag why;
	struct stat st;
	int from = file_open_regular(program, &st, &why), to, ret;

	if (from < 0)
		return diag_fail(diag, -from, "--exec-file %.200s: %s", program, why.text);
	to = openat(place->fd, place->program, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0555);
	ret = to < 0 ? -errno : 0;
	if (!ret) {
		note_made(place, place->fd, place->program, false);
		ret = copy(from, to, (uint64_t)st.st_size);
	}
	if (!ret && fchmod(to, 0555))
		ret = -errno;
	close(from);
	if (to >= 0)
		close(to);
	return ret ? fail(place, -ret, place->program, diag) : 0;
}

static int add_device(struct jail_place *place, int dir_fd, const char *path, struct diag *diag)
{
	const char *name = strrchr(path, '/') + 1;
	char host[PATH_MAX];
	struct stat st;

	snprintf(host, sizeof(host), "/%s", path);
	if (stat(host, &st) || !S_ISCHR(st.st_mode))
		return 0;
	if (mknodat(dir_fd, name, S_IFCHR | 0600, st.st_rdev))
		return fail(place, errno, path, diag);
	note_made(place, dir_fd, name, false);
	if (fchownat(dir_fd, name, place->uid, place->gid, AT_SYMLINK_NOFOLLOW))
		return fail(place, errno, path, diag);
	return 0;
}

/* Those that the host has. */
static int add_devices(struct jail_place *place, int dev, int net, struct diag *diag)
{
	static const char *const devices[] = { "dev/kvm", "dev/urandom", "dev/null",
		"dev/userfaultfd" };
	int ret = add_device(place, net, "dev/net/tun", diag);

	for (unsigned int i = 0; i < ARRAY_SIZE(devices) && !ret; i++)
		ret = add_device(place, dev, devices[i], diag);
	return ret;
}

int jail_place_make(struct jail_place *place, const char *base, const char *program, const char *id,
	struct diag *diag)
{
	const char *slash = strrchr(program, '/');
	int dev, net, run, ret;

	snprintf(place->program, sizeof(place->program), "%s", slash ? slash + 1 : program);
	ret = make_root(place, base, id, diag);
	if (!ret)
		ret = add_program(place, program, diag);
	if (ret)
		return ret;
	dev = make_own_dir(place, place->fd, "dev", "dev", diag);
	net = dev < 0 ? dev : make_own_dir(place, dev, "net", "dev/net", diag);
	run = net < 0 ? net : make_own_dir(place, place->fd, "run", "run", diag);
	return run < 0 ? run : add_devices(place, dev, net, diag);
}

int jail_place_note(struct jail_place *place, int pid, struct diag *diag)
{
	char name[NAME_MAX + 8];
	int fd, err;

	snprintf(name, sizeof(name), "%s.pid", place->program);
	fd = openat(place->fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return fail(place, errno, name, diag);
	note_made(place, place->fd, name, false);
	err = dprintf(fd, "%d", pid) < 0 ? errno : 0;
	close(fd);
	return err ? fail(place, err, name, diag) : 0;
}
