/* SPDX-License-Identifier: MIT */
/* root.c - the command's view of files: the host's, copy on write */
#include "session.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

/* Loose caching is safe on the host's files for the length of one session: they are looked at
 * afresh in the next, and who changes them meanwhile races with any program.  What is shared for
 * writing is not cached, so that it is on the host when the command has written it.
 */
#define P9      "trans=virtio,version=9p2000.L,msize=512000,access=any,"
#define P9_HOST P9 "cache=loose"
#define P9_OUT  P9 "cache=none"
#define OVERLAY "lowerdir=/host,upperdir=/over/upper,workdir=/over/work"

static const struct step {
	const char *what, *source, *target, *type, *options;
	unsigned long flags;
} steps[] = {
	{ "keep mounts private", NULL, "/", NULL, NULL, MS_REC | MS_PRIVATE },
	{ "reach the host's files", "host", "/host", "9p", P9_HOST, MS_RDONLY },
	{ "lay the overlay", "overlay", "/root", "overlay", OVERLAY, 0 },
	{ "mount /proc", "proc", "/root/proc", "proc", NULL, 0 },
	{ "mount /sys", "/sys", "/root/sys", NULL, NULL, MS_BIND | MS_REC },
	{ "mount /dev", "/dev", "/root/dev", NULL, NULL, MS_BIND | MS_REC },
	{ "mount /dev/shm", "shm", "/root/dev/shm", "tmpfs", "mode=1777", 0 },
	{ "mount /run", "run", "/root/run", "tmpfs", "mode=755", 0 },
};

static int mount_out(const char *path)
{
	char target[4096];

	if (snprintf(target, sizeof(target), "/root%s", path) >= (int)sizeof(target))
		return -ENAMETOOLONG;
	return mount("out", target, "9p", 0, P9_OUT) < 0 ? -errno : 0;
}

/* The overlay's own memory comes first, and every step needs those before it. */
static int mount_all(const char **what)
{
	*what = "make room for the overlay";
	if (unshare(CLONE_NEWNS) < 0 ||
		mount("over", "/over", "tmpfs", 0, "size=75%,mode=755") < 0 ||
		mkdir("/over/upper", 0755) < 0 || mkdir("/over/work", 0755) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
		const struct step *step = &steps[i];

		*what = step->what;
		if (mount(step->source, step->target, step->type, step->flags, step->options) < 0)
			return -errno;
	}
	return 0;
}

int root_enter(const struct request *request, const char **what)
{
	int ret = mount_all(what);

	if (ret < 0)
		return ret;
	if (request->out) {
		*what = "share the directory given with --out";
		ret = mount_out(request->out);
		if (ret < 0)
			return ret;
	}
	/* Moved over "/", not merely chroot()ed to: a process in a chroot may not make user
	 * namespaces. */
	*what = "change the root";
	if (chdir("/root") < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
		return -errno;
	*what = "enter the current directory";
	return chdir(request->directory) < 0 ? -errno : 0;
}
