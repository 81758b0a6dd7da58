// SPDX-License-Identifier: MIT
/* jail.c - what only root can give up: to be root, and to see the host's files */

#include "confine/jail.h"

#include "confine/cgroup.h"
#include "confine/confine.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

/* ---- the parts ---- */

int jail_may(struct diag *diag)
{
	return geteuid() ? diag_fail(diag, EPERM, "only root can make a jail: start this as root")
	                 : 0;
}

int jail_join_net(const char *path, struct diag *diag)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK), err;

	if (fd < 0)
		return diag_fail(diag, errno,
			"%.200s: %s; `ip netns add NAME` makes /run/netns/NAME", path,
			error_text(errno));
	err = setns(fd, CLONE_NEWNET) ? errno : 0;
	close(fd);
	return err ? diag_fail(diag, err, "%.200s: %s", path,
			     err == EINVAL ? "it is no network namespace" : error_text(err))
	           : 0;
}

int jail_limit(uint32_t n_files, uint64_t file_size, struct diag *diag)
{
	const struct rlimit files = { n_files, n_files }, size = { file_size, file_size };

	if (n_files && setrlimit(RLIMIT_NOFILE, &files))
		return diag_fail(diag, errno, "no-file=%u: %s", n_files, error_text(errno));
	if (file_size && setrlimit(RLIMIT_FSIZE, &size))
		return diag_fail(diag, errno, "fsize=%llu: %s", (unsigned long long)file_size,
			error_text(errno));
	return 0;
}

/* What comes to be mounted in the host's part of it later is seen, but nothing goes back. */
int jail_leave_mounts(struct diag *diag)
{
	if (!unshare(CLONE_NEWNS) && !mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL))
		return 0;
	return diag_fail(diag, errno, "a mount namespace of its own: %s", error_text(errno));
}

/* Have `tree`, which is mounted nowhere yet, as root.  Its own place is of no account, as the whole
 * old tree goes.
 */
static int pivot_to(int tree, int at_fd, struct diag *diag)
{
	if (!move_mount(tree, "", at_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) &&
		!fchdir(tree) && !syscall(SYS_pivot_root, ".", ".") && !umount2(".", MNT_DETACH) &&
		!chdir("/"))
		return 0;
	return diag_fail(diag, errno, "its root cannot be changed: %s%s", error_text(errno),
		errno == EINVAL ? " (that of an initramfs never can)" : "");
}

int jail_change_root(int dir_fd, struct diag *diag)
{
	int tree = open_tree(
		dir_fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	int ret;

	if (tree < 0)
		return diag_fail(diag, errno, "open_tree: %s", error_text(errno));
	ret = pivot_to(tree, dir_fd, diag);
	close(tree);
	return ret;
}

/* Signals that the end of our parent is to bring are the kernel's to forget with the old user. */
int jail_become(uint32_t uid, uint32_t gid, struct diag *diag)
{
	int signal_of_end = 0, ret;

	prctl(PR_GET_PDEATHSIG, &signal_of_end);
	if (setgroups(0, NULL) || setresgid(gid, gid, gid) || setresuid(uid, uid, uid))
		return diag_fail(diag, errno, "uid=%u,gid=%u: %s", uid, gid, error_text(errno));
	ret = confine_drop_rights(CONFINE_NO_RIGHTS);
	if (ret)
		return diag_fail(
			diag, -ret, "capabilities cannot be dropped: %s", error_text(-ret));
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) ||
		prctl(PR_SET_PDEATHSIG, (unsigned long)signal_of_end))
		return diag_fail(diag, errno, "prctl: %s", error_text(errno));
	if (!uid)
		log_warn("uid=0: it stays root, if one without rights: whatever is root's it can "
			 "open; give another uid");
	return 0;
}

/* ---- a machine's process ---- */

static int join_cgroup(const char *path, struct diag *diag)
{
	struct cgroup cgroup;
	int ret = cgroup_open(&cgroup, diag);

	if (!ret)
		ret = cgroup_find(&cgroup, path, diag);
	if (!ret)
		ret = cgroup_join(&cgroup, diag);
	cgroup_close(&cgroup);
	return ret;
}

int jail_enter(const struct jail_config *jail, struct diag *diag)
{
	int ret = jail_may(diag);

	if (!ret && jail->cgroup)
		ret = join_cgroup(jail->cgroup, diag);
	if (!ret && jail->netns)
		ret = jail_join_net(jail->netns, diag);
	return ret;
}

/* A file system with nothing in it but its root, of which nothing is kept but that. */
static int make_empty(struct diag *diag)
{
	int fs = fsopen("tmpfs", FSOPEN_CLOEXEC), tree = -1, err;

	if (fs >= 0 && !fsconfig(fs, FSCONFIG_SET_STRING, "mode", "0555", 0) &&
		!fsconfig(fs, FSCONFIG_SET_STRING, "size", "4k", 0) &&
		!fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0))
		tree = fsmount(fs, FSMOUNT_CLOEXEC,
			MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
				MOUNT_ATTR_NOEXEC);
	err = errno;
	if (fs >= 0)
		close(fs);
	return tree < 0 ? diag_fail(diag, err, "an empty root: tmpfs: %s", error_text(err)) : tree;
}

static int enter_empty_root(struct diag *diag)
{
	int ret = jail_leave_mounts(diag), tree, at;

	if (ret)
		return ret;
	tree = make_empty(diag);
	if (tree < 0)
		return tree;
	at = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	ret = pivot_to(tree, at, diag);
	close(at);
	close(tree);
	return ret;
}

int jail_close(const struct jail_config *jail, struct diag *diag)
{
	int ret = enter_empty_root(diag);

	if (!ret)
		ret = jail_limit(jail->n_files, jail->file_size, diag);
	return ret ? ret : jail_become(jail->uid, jail->gid, diag);
}
