// SPDX-License-Identifier: MIT
/* virtiofsd.c - the daemon that serves a directory of the host to a guest */

#include "host/virtiofsd.h"

#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

/* The successor first, which does what the other does and more. */
static const struct program {
	const char *path;
	bool is_qemus;
} programs[] = {
	{ "/usr/libexec/virtiofsd", false },
	{ "/usr/lib/virtiofsd", false },
	{ "/usr/lib/qemu/virtiofsd", true },
};

/* ---- the socket ---- */

/* Both programs want one that listens.  Ours has no name in the file system, and room for a single
 * connection, which we take before anybody else can: then whoever tries finds it full.
 */
static int connect_to(int listening)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	socklen_t size = sizeof(at.sun_family);
	int fd, err;

	if (bind(listening, (struct sockaddr *)&at, size) || listen(listening, 0))
		return -errno;
	size = sizeof(at);
	if (getsockname(listening, (struct sockaddr *)&at, &size))
		return -errno;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	if (!connect(fd, (struct sockaddr *)&at, size))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

static int make_sockets(int *listening, struct diag *diag)
{
	int fd;

	*listening = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	fd = *listening < 0 ? -errno : connect_to(*listening);
	if (fd >= 0)
		return fd;
	if (*listening >= 0)
		close(*listening);
	return diag_fail(diag, -fd, "socket: %s", error_text(-fd));
}

/* ---- the program ---- */

static const struct program *find_program(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(programs); i++)
		if (!access(programs[i].path, X_OK))
			return &programs[i];
	return NULL;
}

/* In the child: a mount namespace of its own, where the directory and all that is mounted below it
 * is read-only.  The kernel holds that, whatever the daemon does.
 */
static int make_read_only(const void *ctx)
{
	const char *dir = ctx;
	struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) ||
		mount(dir, dir, NULL, MS_BIND | MS_REC, NULL) ||
		syscall(SYS_mount_setattr, AT_FDCWD, dir, AT_RECURSIVE, &attr, sizeof(attr)))
		return -errno;
	return 0;
}

/* Either confines itself by moving the root to the directory, which cannot be done with the root
 * itself.  Of that nothing is left to be kept from the daemon.
 */
static void add_sandbox(const struct program *program, const char *dir, const char **argv)
{
	if (strcmp(dir, "/") != 0)
		return;
	if (program->is_qemus) {
		*argv++ = "-o";
		*argv = "sandbox=chroot";
	} else {
		*argv = geteuid() ? "--sandbox=none" : "--sandbox=chroot";
	}
}

static int run(struct child *child, const struct program *program, const char *dir, bool read_only,
	int listening, struct diag *diag)
{
	const char *argv[8] = { program->path };
	const char **more = argv + 1;
	char *source = NULL;
	char fd[16];
	int ret;

	snprintf(fd, sizeof(fd), "--fd=%d", CHILD_FIRST_FD);
	*more++ = fd;
	if (asprintf(&source, "%s%s", program->is_qemus ? "source=" : "--shared-dir=", dir) < 0)
		return diag_fail(diag, ENOMEM, "out of memory");
	if (program->is_qemus)
		*more++ = "-o";
	*more++ = source;
	if (!program->is_qemus && read_only)
		*more++ = "--readonly";
	/* A guest that mounts them one by one cannot have an overlay on them; QEMU's does not tell
	 * either.
	 */
	if (!program->is_qemus)
		*more++ = "--no-announce-submounts";
	add_sandbox(program, dir, more);
	if (program->is_qemus && read_only)
		ret = child_start_in(child, argv, &listening, 1, make_read_only, dir, diag);
	else
		ret = child_start(child, argv, &listening, 1, diag);
	free(source);
	return ret;
}

int virtiofsd_check(struct diag *diag)
{
	const struct program *program = find_program();

	if (!program)
		return diag_fail(diag, ENOENT,
			"there is no virtiofsd on this host; install it (Debian 12: the package "
			"qemu-system-common; later: virtiofsd)");
	if (program->is_qemus && geteuid())
		return diag_fail(diag, EPERM,
			"%s, of QEMU, serves directories for root alone: run as root, or install "
			"the other virtiofsd (Debian 13's package of that name)",
			program->path);
	return 0;
}

int virtiofsd_start(struct child *child, const char *dir, bool read_only, struct diag *diag)
{
	int fd, listening, ret = virtiofsd_check(diag);
	char *real;

	if (ret)
		return ret;
	real = realpath(dir, NULL);
	if (!real)
		return diag_fail(diag, errno, "%s", error_text(errno));
	fd = make_sockets(&listening, diag);
	if (fd < 0) {
		free(real);
		return fd;
	}
	ret = run(child, find_program(), real, read_only, listening, diag);
	close(listening);
	free(real);
	if (ret)
		close(fd);
	return ret ? ret : fd;
}
