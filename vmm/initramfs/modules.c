// SPDX-License-Identifier: MIT
/* modules.c - which of a kernel's modules a guest needs, and in which order to load them */

#include "initramfs/modules.h"

#include "image/expand.h"
#include "util/error.h"
#include "util/file.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- the lists ---- */

/* As a string; what stands behind a NUL in it is not seen. */
static int read_text(int fd, char **text, struct diag *diag)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return diag_fail(diag, errno, "%s", error_text(errno));
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > MODULES_MAX_SIZE)
		return diag_fail(diag, EINVAL, "it is no file of at most %llu MiB",
			(unsigned long long)MODULES_MAX_SIZE >> 20);
	*text = calloc(1, (size_t)st.st_size + 1);
	if (!*text)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = file_read_at(fd, *text, (size_t)st.st_size, 0);
	if (!ret)
		return 0;
	free(*text);
	*text = NULL;
	return diag_fail(diag, -ret, "cannot be read: %s", error_text(-ret));
}

static int read_list(
	const struct modules *modules, const char *name, char **text, struct diag *diag)
{
	char path[sizeof(modules->dir) + 32];
	struct diag why;
	int fd, ret;

	snprintf(path, sizeof(path), "%s/%s", modules->dir, name);
	fd = file_open_in(modules->root_fd, path, O_RDONLY);
	if (fd < 0)
		return diag_fail(diag, -fd, "%s: %s", path, error_text(-fd));
	ret = read_text(fd, text, &why);
	close(fd);
	return ret ? diag_fail(diag, -ret, "%s: %s", path, why.text) : 0;
}

/* A file of a module's is NAME.ko, or that with what it is packed by. */
static size_t name_size(const struct modules_path *path, const char **name)
{
	const char *slash = memrchr(path->at, '/', path->size), *end;

	*name = slash ? slash + 1 : path->at;
	end = memmem(*name, path->size - (size_t)(*name - path->at), ".ko", 3);
	return end ? (size_t)(end - *name) : 0;
}

static bool is_named(const struct modules_path *path, const char *name)
{
	const char *at;
	size_t size = name_size(path, &at);

	if (size != strlen(name))
		return false;
	for (size_t i = 0; i < size; i++)
		if ((at[i] == '-' ? '_' : at[i]) != name[i])
			return false;
	return true;
}

/* The next line: what stands before a colon, and where that is.  False at the end. */
static bool next_line(const char **at, struct modules_path *path, struct modules_path *needs)
{
	size_t size = strcspn(*at, "\n");
	const char *colon = memchr(*at, ':', size);

	*path = (struct modules_path){ *at, colon ? (size_t)(colon - *at) : size };
	*needs = (struct modules_path){ *at + path->size, size - path->size };
	if (!**at)
		return false;
	*at += size + ((*at)[size] == '\n');
	return true;
}

/* ---- what is wanted ---- */

static int load(struct modules *modules, struct modules_path path)
{
	for (size_t i = 0; i < modules->n; i++)
		if (modules->load[i].size == path.size &&
			!memcmp(modules->load[i].at, path.at, path.size))
			return 0;
	if (modules->n == MODULES_MAX)
		return -E2BIG;
	modules->load[modules->n++] = path;
	return 0;
}

/* From the last to the first. */
static int load_needs(struct modules *modules, struct modules_path needs)
{
	int ret = 0;

	while (needs.size && !ret) {
		const char *blank = memrchr(needs.at, ' ', needs.size);
		size_t before = blank ? (size_t)(blank - needs.at) + 1 : 1; /* the colon */

		if (before < needs.size)
			ret = load(modules,
				(struct modules_path){ needs.at + before, needs.size - before });
		needs.size = before - 1;
	}
	return ret;
}

int modules_want(struct modules *modules, const char *name)
{
	struct modules_path path, needs;
	int ret;

	for (const char *at = modules->dep; next_line(&at, &path, &needs);) {
		if (!is_named(&path, name))
			continue;
		ret = load_needs(modules, needs);
		return ret ? ret : load(modules, path);
	}
	if (!modules->builtin)
		return 0;
	for (const char *at = modules->builtin; next_line(&at, &path, &needs);)
		if (is_named(&path, name))
			return 0;
	return -ENOENT;
}

/* ---- their content ---- */

/* It becomes a file's in the archive. */
static bool copy_name(char name[MODULES_NAME], const struct modules_path *path)
{
	const char *at;
	size_t size = name_size(path, &at);

	if (!size || size >= MODULES_NAME)
		return false;
	for (size_t i = 0; i < size; i++) {
		if (!isalnum((unsigned char)at[i]) && at[i] != '_' && at[i] != '-')
			return false;
		name[i] = at[i];
	}
	name[size] = '\0';
	return true;
}

static int read_content(const struct modules *modules, const char *path, uint8_t **data,
	size_t *size, struct diag *diag)
{
	int fd = file_open_in(modules->root_fd, path, O_RDONLY);
	int ret;

	if (fd < 0)
		return diag_fail(diag, -fd, "%s", error_text(-fd));
	ret = expand_file(fd, MODULES_MAX_SIZE, data, size, diag);
	close(fd);
	return ret;
}

int modules_read(const struct modules *modules, size_t i, char name[MODULES_NAME], uint8_t **data,
	size_t *size, struct diag *diag)
{
	const struct modules_path *from = &modules->load[i];
	bool is_absolute = from->size && from->at[0] == '/';
	char path[PATH_MAX];
	struct diag why;
	int ret;

	if (from->size >= sizeof(path) - sizeof(modules->dir) - 1 || !copy_name(name, from))
		return diag_fail(diag, EINVAL, "%s/modules.dep: '%.*s' is no module's file",
			modules->dir, (int)(from->size < 80 ? from->size : 80), from->at);
	snprintf(path, sizeof(path), "%s%s%.*s", is_absolute ? "" : modules->dir,
		is_absolute ? "" : "/", (int)from->size, from->at);
	ret = read_content(modules, path, data, size, &why);
	return ret ? diag_fail(diag, -ret, "%s: %s", path, why.text) : 0;
}

/* ---- the whole ---- */

/* Wherever the file system has lib. */
static int find_dir(struct modules *modules, const char *release)
{
	static const char *const places[] = { "lib/modules", "usr/lib/modules" };
	int fd = -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(places) && fd == -ENOENT; i++) {
		int n = snprintf(modules->dir, sizeof(modules->dir), "%s/%s", places[i], release);

		if (n >= (int)sizeof(modules->dir))
			return -ENAMETOOLONG;
		fd = file_open_in(modules->root_fd, modules->dir, O_PATH | O_DIRECTORY);
	}
	if (fd >= 0)
		close(fd);
	return fd < 0 ? fd : 0;
}

int modules_open(struct modules *modules, int root_fd, const char *release, struct diag *diag)
{
	struct diag why;
	int ret;

	*modules = (struct modules){ .root_fd = root_fd };
	ret = find_dir(modules, release);
	if (ret)
		return diag_fail(diag, -ret, "lib/modules/%s: %s", release, error_text(-ret));
	ret = read_list(modules, "modules.dep", &modules->dep, &why);
	if (ret)
		return diag_fail(
			diag, ret == -ENOENT ? EINVAL : -ret, "%s; `depmod` makes it", why.text);
	ret = read_list(modules, "modules.builtin", &modules->builtin, &why);
	if (ret && ret != -ENOENT) {
		*diag = why;
		modules_close(modules);
		return ret;
	}
	return 0;
}

void modules_close(struct modules *modules)
{
	free(modules->dep);
	free(modules->builtin);
	modules->dep = modules->builtin = NULL;
}
