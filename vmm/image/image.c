// SPDX-License-Identifier: MIT
/* image.c - kernel files: from a path to a checked ELF image */

#include "image/image.h"

#include "image/banner.h"
#include "image/elf_file.h"
#include "image/foreign.h"
#include "image/note.h"
#include "image/plain.h"
#include "image/section.h"
#include "image/shim.h"
#include "image/source.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define XEN_NOTE_GUEST_OS 6

/* Told once the ELF is parsed; a bzImage is Linux, others are searched for its banner. */
static bool needs_shim(const struct image *image)
{
	return image->elf.is_64 && elf_lacks_pvh_entry(&image->elf) &&
	       (image->kind.container == IMAGE_BZIMAGE ? image->kind.has_entry_64
						       : image_is_linux(image));
}

/* Steps 4 and 5. */
int image_read_elf(struct elf_image *elf, int fd, uint64_t size, struct diag *diag)
{
	struct elf_file file;
	int ret;

	memset(elf, 0, sizeof(*elf));
	ret = elf_file_init(&file, fd, size, diag);
	if (!ret)
		ret = elf_read_headers(elf, &file, diag);
	if (ret < 0)
		return ret;
	note_find_all(elf, &file);
	section_find_code(elf, &file);
	if (file.window.err)
		return diag_fail(
			diag, -file.window.err, "cannot be read: %s", error_text(-file.window.err));
	return 0;
}

/* Steps 1 and 2: from a path to what the file is. */
static int open_file(
	struct image *image, struct image_source *source, const char *path, struct diag *diag)
{
	int ret;

	memset(image, 0, sizeof(*image));
	image->fd = -1;
	ret = source_open(source, path, diag);
	if (ret < 0)
		return ret;
	ret = identify(&image->kind, source, diag);
	if (ret < 0)
		source_close(source);
	return ret;
}

/* Steps 3 to 5: from there to the ELF, its headers and notes. */
static int open_elf(
	struct image *image, struct image_source *source, bool use_cache, struct diag *diag)
{
	bool is_bzimage = image->kind.container == IMAGE_BZIMAGE;
	struct plain plain;
	int ret;

	image->owned_file = image->kind.container != IMAGE_ELF;
	image->others_write = image->owned_file && !source_is_ours(source);
	ret = plain_open(&plain, source, &image->kind, use_cache && !image->others_write, diag);
	image->fd = plain.fd;
	image->size = plain.size;
	image->needs_shim = plain.no_entry;
	if (!ret && !plain.no_entry) {
		ret = image_read_elf(&image->elf, plain.fd, plain.size, diag);
		image->needs_shim = !ret && needs_shim(image);
	}
	if (!ret)
		ret = plain_keep(&plain, source, is_bzimage && image->needs_shim, diag);
	image->from_cache = plain.from_cache;
	image->cache_fault = plain.cache_fault;
	if (ret < 0)
		plain_close(&plain, plain.from_cache);
	image->fd = ret < 0 ? -1 : plain_take(&plain);
	/* What nobody can unpack here, the kernel itself can. */
	if (ret == -ENOTSUP && is_bzimage)
		image->needs_shim = image->kind.has_entry_64;
	return ret;
}

static int open_checked(
	struct image *image, struct image_source *source, bool use_cache, struct diag *diag)
{
	int ret = open_elf(image, source, use_cache, diag);

	/* A damaged entry is gone now. */
	if (ret < 0 && image->from_cache)
		ret = open_elf(image, source, use_cache, diag);
	source_close(source);
	if (!ret && image->kind.container != IMAGE_BZIMAGE) {
		image->kind.room_start = image->elf.start;
		image->kind.room_end = image->elf.end;
	}
	return ret;
}

int image_open(struct image *image, const char *path, bool use_cache, struct diag *diag)
{
	struct image_source source;
	int ret = open_file(image, &source, path, diag);

	return ret < 0 ? ret : open_checked(image, &source, use_cache, diag);
}

static int check_for_shim(const struct image *image, struct diag *diag)
{
	uint64_t start, end;

	if (!image->elf.is_64 || !image_is_linux(image))
		return diag_fail(
			diag, ENOEXEC, "it is no 64-bit Linux, and pvh-shim boots nothing else");
	shim_range(&start, &end);
	if (image->elf.start < end && start < image->elf.end)
		return diag_fail(diag, ENOEXEC,
			"it has no PVH entry, and cannot be booted without one as it is linked to %#" PRIx64
			", where pvh-shim lies: build it with CONFIG_PVH=y",
			image->elf.start);
	return 0;
}

int image_open_whole(struct image *image, const char *path, bool use_cache, struct diag *diag)
{
	struct image_source source;
	int ret = open_file(image, &source, path, diag);

	if (ret < 0)
		return ret;
	if (image->kind.container == IMAGE_BZIMAGE) {
		image->fd = source.fd;
		image->size = source.size;
		if (image->kind.has_entry_64)
			return 0;
		image_close(image);
		return diag_fail(diag, ENOEXEC,
			"this bzImage has no 64-bit entry, which pvh-shim needs: take a 64-bit kernel of Linux 3.8 or newer");
	}
	ret = open_checked(image, &source, use_cache, diag);
	if (ret < 0)
		return ret;
	ret = check_for_shim(image, diag);
	if (ret < 0) {
		image_close(image);
		return ret;
	}
	image->size = image->elf.file_end;
	return 0;
}

int image_open_shim(struct image *image, struct diag *diag)
{
	int ret;

	memset(image, 0, sizeof(*image));
	image->kind.container = IMAGE_ELF;
	image->owned_file = true;
	image->fd = shim_open(&image->size, diag);
	if (image->fd < 0)
		return image->fd;
	ret = image_read_elf(&image->elf, image->fd, image->size, diag);
	if (ret < 0)
		image_close(image);
	return ret;
}

void image_close(struct image *image)
{
	if (image->fd >= 0)
		close(image->fd);
	image->fd = -1;
}

/* ---- what it is ---- */

bool image_find_version(const struct image *image, char *version, size_t size)
{
	if (!image->kind.version[0])
		return banner_find(image->fd, image->size, version, size);
	snprintf(version, size, "%s", image->kind.version);
	return true;
}

bool image_is_linux(const struct image *image)
{
	char version[sizeof(image->kind.version)];

	if (image->kind.container == IMAGE_BZIMAGE)
		return true;
	for (size_t i = 0; i < image->elf.n_notes; i++)
		if (image->elf.note[i].type == XEN_NOTE_GUEST_OS)
			return !strncmp(
				(const char *)image->elf.note[i].desc, "linux", sizeof("linux"));
	return banner_find(image->fd, image->size, version, sizeof(version));
}

int image_require_pvh_entry(const struct image *image, struct diag *diag)
{
	struct diag plain;
	int ret = elf_require_pvh_entry(&image->elf, &plain);

	if (ret < 0 && elf_lacks_pvh_entry(&image->elf))
		return diag_fail(diag, -ret, "%s: %s", plain.text,
			image_is_linux(image) ? "build it with CONFIG_PVH=y"
					      : foreign_door(image->fd, image->size));
	if (ret < 0)
		*diag = plain;
	return ret;
}
