// SPDX-License-Identifier: GPL-2.0 OR MIT
/* root.c - drivers, the host's directory, and what a root file system has mounted in it */

#include "init.h"
#include "sys.h"

#include <asm/errno.h>
#include <asm/fcntl.h>
#include <linux/if.h>
#include <linux/mount.h>
#include <linux/sockios.h>
#include <sys/socket.h>

/* ROOT_TAG in vmm/config/config.h */
#define TAG "root"

#define HOST_NAME "pronto"

static void load_module(const char *name)
{
	char path[128] = "/modules/";
	size_t n = sizeof("/modules/") - 1, size = text_size(name);
	long fd, ret;

	if (size >= sizeof(path) - n)
		return;
	for (size_t i = 0; i <= size; i++)
		path[n + i] = name[i];
	fd = sys_open(path, O_RDONLY | O_CLOEXEC);
	ret = fd < 0 ? fd : sys3(__NR_finit_module, fd, (long)"", 0);
	if (ret < 0 && ret != -EEXIST)
		complain("cannot load the module", name, ret, NULL);
	if (fd >= 0)
		sys_close((int)fd);
	sys3(__NR_unlink, (long)path, 0, 0); /* or it would stay in memory */
}

/* A driver may have brought the one that the operator wants. */
static void reopen_console(void)
{
	long fd = sys_open("/dev/console", O_RDWR);

	for (int to = 0; fd >= 0 && to < 3; to++)
		sys3(__NR_dup2, fd, to, 0);
	if (fd > 2)
		sys_close((int)fd);
}

static const char *why_no_root(long err)
{
	if (err == -ENODEV)
		return "the kernel has no virtiofs: build it with CONFIG_VIRTIO_FS=y, or install "
		       "its modules";
	if (err == -EINVAL)
		return "it found no such device: the kernel needs CONFIG_VIRTIO_MMIO=y, or with "
		       "--transport pci CONFIG_VIRTIO_PCI=y, or their modules";
	return NULL;
}

static void mount_host(const char *at, bool writable)
{
	long ret = sys_mount(TAG, at, "virtiofs", writable ? 0 : MS_RDONLY, NULL);

	if (ret < 0)
		give_up("cannot mount the host's directory", "(virtiofs)", ret, why_no_root(ret));
}

/* What is written stays in the guest's memory. */
static void mount_overlay(void)
{
	long ret;

	sys_mkdir("/lower", 0755);
	sys_mkdir("/above", 0755);
	mount_host("/lower", false);
	ret = sys_mount("above", "/above", "tmpfs", 0, "mode=755");
	if (ret < 0)
		give_up("cannot mount", "tmpfs", ret, NULL);
	sys_mkdir("/above/upper", 0755);
	sys_mkdir("/above/work", 0755);
	ret = sys_mount(TAG, "/root", "overlay", 0,
		"lowerdir=/lower,upperdir=/above/upper,workdir=/above/work");
	if (ret < 0)
		give_up("cannot mount", "the overlay", ret,
			ret == -ENODEV
				? "the kernel needs CONFIG_OVERLAY_FS=y or the module overlay; "
				  "`ro` and `rw` do without"
				: NULL);
}

/* Those below /dev are made in a file system of the guest's own, the others only where that is
 * thrown away.
 */
static const struct point {
	const char *at, *type, *options;
	long flags;
} points[] = {
	{ "/proc", "proc", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "/sys", "sysfs", NULL, MS_NOSUID | MS_NODEV | MS_NOEXEC },
	{ "/dev", "devtmpfs", "mode=755", MS_NOSUID },
	{ "/dev/pts", "devpts", "mode=620,ptmxmode=666", MS_NOSUID | MS_NOEXEC },
	{ "/dev/shm", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
	{ "/run", "tmpfs", "mode=755", MS_NOSUID | MS_NODEV },
	{ "/tmp", "tmpfs", "mode=1777", MS_NOSUID | MS_NODEV },
};

static void furnish(bool throw_away)
{
	static const char *const links[][2] = {
		{ "/proc/self/fd", "/dev/fd" },
		{ "/proc/self/fd/0", "/dev/stdin" },
		{ "/proc/self/fd/1", "/dev/stdout" },
		{ "/proc/self/fd/2", "/dev/stderr" },
	};

	for (size_t i = 0; i < sizeof(points) / sizeof(*points); i++) {
		const struct point *point = &points[i];
		long ret;

		if (throw_away || text_begins(point->at, "/dev/"))
			sys_mkdir(point->at, 0755);
		ret = sys_mount(point->type, point->at, point->type, point->flags, point->options);
		if (ret < 0)
			complain("cannot mount", point->at, ret, NULL);
	}
	for (size_t i = 0; i < sizeof(links) / sizeof(*links); i++)
		sys3(__NR_symlink, (long)links[i][0], (long)links[i][1], 0);
}

/* Programs expect it, and who has no network has it none the less. */
static void raise_loopback(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	long fd = sys3(__NR_socket, AF_INET, SOCK_DGRAM, 0);

	if (fd < 0)
		return;
	sys_ioctl((int)fd, SIOCSIFFLAGS, &lo);
	sys_close((int)fd);
}

void root_enter(const struct settings *settings)
{
	long ret;

	for (unsigned int i = 0; i < settings->n_modules; i++)
		load_module(settings->module[i]);
	reopen_console();
	sys_mkdir("/root", 0755);
	if (settings->overlay)
		mount_overlay();
	else
		mount_host("/root", settings->writable);
	/* The root of an initramfs stays below; nobody comes back to it. */
	ret = sys_chdir("/root");
	if (!ret)
		ret = sys_mount(".", "/", NULL, MS_MOVE, NULL);
	if (!ret)
		ret = sys3(__NR_chroot, (long)".", 0, 0);
	if (ret < 0)
		give_up("cannot enter", "the root", ret, NULL);
	sys_chdir("/");
	furnish(settings->overlay);
	sys3(__NR_sethostname, (long)HOST_NAME, sizeof(HOST_NAME) - 1, 0);
	raise_loopback();
}
