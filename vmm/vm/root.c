// SPDX-License-Identifier: MIT
/* root.c - what has a Linux guest take a directory of the host for its root file system */

#include "vm/root.h"

#include "host/virtiofsd.h"
#include "initramfs/cpio.h"
#include "initramfs/init.h"
#include "initramfs/modules.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define SHELL "/bin/sh"

struct archive {
	struct cpio cpio;
	FILE *settings; /* KEY=VALUE for init, each with a NUL behind it */
};

/* ---- the kernel's modules ---- */

/* What Linux calls the driver of each kind of device. */
static const char *const drivers[N_DEVICE_KINDS] = {
	[DEVICE_disk] = "virtio_blk",
	[DEVICE_net] = "virtio_net",
	[DEVICE_vsock] = "vmw_vsock_virtio_transport",
	[DEVICE_share] = "virtiofs",
	[DEVICE_balloon] = "virtio_balloon",
	[DEVICE_rng] = "virtio_rng",
	[DEVICE_hvc] = "virtio_console",
	[DEVICE_port] = "virtio_console",
};

static int want(struct modules *modules, const char *name, const char *option, struct diag *diag)
{
	int ret = modules_want(modules, name);

	if (ret == -ENOENT && option)
		return diag_fail(diag, ENOEXEC,
			"the kernel has no %s, built in or in %s: build it with %s=y, or m", name,
			modules->dir, option);
	if (ret == -E2BIG)
		return diag_fail(diag, E2BIG,
			"%s/modules.dep has the drivers need more than %d modules: run `depmod`",
			modules->dir, MODULES_MAX);
	return 0;
}

/* The way to the root it must have; for the rest, whose names no distribution's udev is there to
 * find, it gets what there is.
 */
static int want_all(struct modules *modules, const struct config *config, struct diag *diag)
{
	int ret = config_has_pci(config) ? want(modules, "virtio_pci", "CONFIG_VIRTIO_PCI", diag)
	                                 : want(modules, "virtio_mmio", "CONFIG_VIRTIO_MMIO", diag);

	if (!ret)
		ret = want(modules, "virtiofs", "CONFIG_VIRTIO_FS", diag);
	if (!ret && !config->root.read_only && !config->root.writable)
		ret = want(modules, "overlay", "CONFIG_OVERLAY_FS", diag);
	for (unsigned int kind = 0; kind < N_DEVICE_KINDS && !ret; kind++)
		if (config->devices[kind].n)
			ret = want(modules, drivers[kind], NULL, diag);
	return ret;
}

static int pack_modules(const struct modules *modules, struct archive *archive, struct diag *diag)
{
	char name[MODULES_NAME], path[sizeof("modules/") + MODULES_NAME];
	uint8_t *data;
	size_t size;

	for (size_t i = 0; i < modules->n; i++) {
		int ret = modules_read(modules, i, name, &data, &size, diag);

		if (ret)
			return ret;
		snprintf(path, sizeof(path), "modules/%s", name);
		cpio_add(&archive->cpio, path, S_IFREG | 0644, data, size);
		fprintf(archive->settings, "module=%s%c", name, '\0');
		free(data);
	}
	return 0;
}

/* Without any the kernel may have all built in, unless it is known not to. */
static int explain_no_modules(
	const struct config *config, const char *dir, const char *version, struct diag *diag)
{
	bool is_debian = strstr(version, "debian-kernel@lists.debian.org");
	int n = (int)strcspn(version, " ");

	if (is_debian || config->root.modules)
		return diag_fail(diag, ENOEXEC,
			"%s has no lib/modules/%.*s, and the kernel needs modules to mount its root: "
			"install them there, or say `modules=PATH`, below which that is",
			dir, n, version);
	log_info("--root: %s has no lib/modules/%.*s: the kernel is to have all built in", dir, n,
		version);
	return 0;
}

static int add_modules_of(const struct config *config, int root_fd, const char *dir,
	const char *version, struct archive *archive, struct diag *diag)
{
	struct modules modules;
	struct diag why;
	char release[128];
	int ret;

	snprintf(release, sizeof(release), "%.*s", (int)strcspn(version, " "), version);
	if (!release[0] || release[0] == '.' || strchr(release, '/'))
		return diag_fail(diag, ENOEXEC, "the kernel's version is '%s'", release);
	ret = modules_open(&modules, root_fd, release, &why);
	if (ret == -ENOENT)
		return explain_no_modules(config, dir, version, diag);
	if (!ret) {
		ret = want_all(&modules, config, &why);
		if (!ret)
			ret = pack_modules(&modules, archive, &why);
		modules_close(&modules);
	}
	return ret ? diag_fail(diag, -ret, "%s: %s", dir, why.text) : 0;
}

static int open_dir(const char *path, struct diag *diag)
{
	int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? diag_fail(diag, errno, "%s: %s", path, error_text(errno)) : fd;
}

static int add_modules(const struct config *config, const char *version, struct archive *archive,
	struct diag *diag)
{
	const char *dir = config->root.modules ? config->root.modules : config->root.dir;
	int fd = open_dir(dir, diag), ret;

	if (fd < 0)
		return fd;
	ret = add_modules_of(config, fd, dir, version, archive, diag);
	close(fd);
	return ret;
}

/* ---- what init is told ---- */

static void tell(struct archive *archive, const char *key, const char *value)
{
	fprintf(archive->settings, "%s=%s%c", key, value, '\0');
}

/* Where we are, if the guest has that, too. */
static void tell_dir(struct archive *archive, const char *root)
{
	char *real = realpath(root, NULL), *here = getcwd(NULL, 0);
	size_t size = real ? strlen(real) : 0;

	if (size == 1)
		size = 0; /* of / nothing is to be taken away */
	if (real && here && !strncmp(here, real, size) && here[size] == '/')
		tell(archive, "dir", here + size);
	free(real);
	free(here);
}

/* A serial line tells neither. */
static void tell_terminal(struct archive *archive)
{
	const char *term = getenv("TERM");
	struct winsize size;
	char text[16];

	if (!isatty(STDIN_FILENO))
		return;
	if (term && strlen(term) < 64)
		tell(archive, "TERM", term);
	if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) || !size.ws_row)
		return;
	snprintf(text, sizeof(text), "%ux%u", size.ws_row, size.ws_col);
	tell(archive, "size", text);
}

static const char *access_of(const struct root_config *root)
{
	return root->writable ? "rw" : root->read_only ? "ro" : "overlay";
}

static void tell_all(struct archive *archive, const struct config *config)
{
	const struct root_config *root = &config->root;

	tell(archive, "access", access_of(root));
	tell_dir(archive, root->dir);
	tell_terminal(archive);
	if (root->init)
		tell(archive, "init", root->init);
	if (!config->exec)
		return;
	tell(archive, "exec", config->exec);
	fprintf(archive->settings, "port=%u%c", config_exit_port(config), '\0');
	if (!isatty(STDOUT_FILENO))
		tell(archive, "plain", "on");
}

/* ---- the archive ---- */

static int fill(const struct config *config, const char *version, struct archive *archive,
	struct diag *diag)
{
	char *text = NULL;
	size_t size;
	int ret;

	archive->settings = open_memstream(&text, &size);
	if (!archive->settings)
		return diag_fail(diag, ENOMEM, "out of memory");
	cpio_add(&archive->cpio, "dev", S_IFDIR | 0755, NULL, 0);
	/* The kernel opens it for pid 1. */
	cpio_add_device(&archive->cpio, "dev/console", S_IFCHR | 0600, makedev(5, 1));
	cpio_add(&archive->cpio, "modules", S_IFDIR | 0755, NULL, 0);
	ret = add_modules(config, version, archive, diag);
	tell_all(archive, config);
	if (fclose(archive->settings) && !ret)
		ret = diag_fail(diag, ENOMEM, "out of memory");
	cpio_add(&archive->cpio, "settings", S_IFREG | 0644, text, size);
	cpio_add(&archive->cpio, "init", S_IFREG | 0755, init_elf,
		(size_t)(init_elf_end - init_elf));
	free(text);
	return ret;
}

static int make_archive(
	const struct config *config, const char *version, uint64_t *size, struct diag *diag)
{
	struct archive archive = { .cpio.fd = memfd_create("initramfs", MFD_CLOEXEC) };
	int fd = archive.cpio.fd, ret, err;

	if (fd < 0)
		return diag_fail(diag, errno, "no file in memory: %s", error_text(errno));
	ret = fill(config, version, &archive, diag);
	err = cpio_finish(&archive.cpio);
	if (!ret && err)
		ret = diag_fail(
			diag, -err, "the initramfs cannot be written: %s", error_text(-err));
	*size = archive.cpio.size;
	if (!ret)
		return fd;
	close(fd);
	return ret;
}

/* That somebody serves it, and that there is something to run, is to be known before the boot. */
static int check_dir(const struct config *config, struct diag *diag)
{
	const struct root_config *root = &config->root;
	const char *program = root->init ? root->init : SHELL;
	int fd = open_dir(root->dir, diag), at;

	if (fd < 0)
		return fd;
	at = file_open_in(fd, program, O_PATH);
	close(fd);
	if (at >= 0) {
		close(at);
		return config->dry_run ? 0 : virtiofsd_check(diag);
	}
	return diag_fail(diag, -at, "%s: %s in it: %s%s", root->dir, program, error_text(-at),
		root->init ? "" : "; a root file system has a shell, or say `init=PROGRAM`");
}

int root_make_initrd(
	const struct config *config, const struct image *kernel, uint64_t *size, struct diag *diag)
{
	char version[128];
	int ret = check_dir(config, diag);

	if (ret)
		return ret;
	if (!image_find_version(kernel, version, sizeof(version)))
		return diag_fail(diag, ENOEXEC,
			"%s: it is no Linux that tells its version, and no other kernel has a "
			"directory of the host for its root",
			config->kernel);
	return make_archive(config, version, size, diag);
}
