// SPDX-License-Identifier: MIT
/* image.c - kernel files: from a path to a checked ELF image */

#include "image/image.h"

#include "image/bzimage.h"
#include "image/cache.h"
#include "image/shim.h"
#include "image/unpack.h"
#include "util/file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Enough to recognise any container. */
#define HEAD_SIZE 1024

/* The kernel file as it is on disk. */
struct source {
	int fd;
	struct stat st;
	uint64_t size;
	struct unpack_job job; /* where in it the compressed kernel lies */
};

static int source_open(struct source *source, const char *path, struct diag *diag)
{
	source->fd = file_open_regular(path, &source->st, diag);
	if (source->fd < 0)
		return source->fd;
	source->size = (uint64_t)source->st.st_size;
	if (source->size <= IMAGE_MAX_FILE)
		return 0;
	close(source->fd);
	return diag_fail(diag, EFBIG,
		"the file has %" PRIu64 " MiB and no kernel more than %" PRIu64
		": is it a disk image?",
		source->size >> 20, (uint64_t)(IMAGE_MAX_FILE >> 20));
}

/* ---- what it is ---- */

static int identify_bzimage(struct image *image, struct source *source, struct diag *diag)
{
	struct bzimage bz;
	uint8_t head[UNPACK_HEAD] = { 0 };
	int64_t n;
	int ret;

	image->container = IMAGE_BZIMAGE;
	ret = bzimage_parse(&bz, source->fd, source->size, diag);
	memcpy(image->version, bz.version, sizeof(image->version));
	image->has_entry_64 = bz.has_entry_64;
	image->room_start = bz.pref_address;
	if (__builtin_add_overflow(bz.pref_address, bz.init_size, &image->room_end))
		image->has_entry_64 = false;
	if (ret < 0)
		return ret;
	n = file_read_some(source->fd, head, sizeof(head), bz.payload_offset);
	if (n < 0)
		return diag_fail(diag, (int)-n, "cannot be read: %s", strerror((int)-n));
	image->compression = unpack_identify(head, (size_t)n);
	if (image->compression == IMAGE_NONE)
		return diag_fail(diag, ENOEXEC,
			"it is a bzImage, but where its header puts the kernel is nothing compressed: it is damaged");
	source->job.in_offset = bz.payload_offset;
	source->job.in_size = bz.payload_size;
	/* The kernel unpacks itself within init_size. */
	if (bz.init_size && bz.init_size < source->job.max_size)
		source->job.max_size = bz.init_size;
	return 0;
}

static int identify(struct image *image, struct source *source, struct diag *diag)
{
	uint8_t head[HEAD_SIZE];
	int64_t n = file_read_some(source->fd, head, sizeof(head), 0);

	if (n < 0)
		return diag_fail(diag, (int)-n, "cannot be read: %s", strerror((int)-n));
	source->job = (struct unpack_job){
		.in_fd = source->fd,
		.in_size = source->size,
		.out_fd = -1,
		.max_size = IMAGE_MAX_UNPACKED,
	};
	if (n >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG)) {
		image->container = IMAGE_ELF;
		return 0;
	}
	if (bzimage_detect(head, (size_t)n))
		return identify_bzimage(image, source, diag);
	image->compression = unpack_identify(head, (size_t)n);
	if (image->compression == IMAGE_NONE)
		return diag_fail(diag, ENOEXEC,
			"it is no kernel: neither an ELF, nor a bzImage, nor one of them compressed (or it is truncated)");
	image->container = IMAGE_COMPRESSED;
	return 0;
}

/* Told once the ELF is parsed; a bzImage is Linux, others are searched for its banner. */
static bool needs_shim(const struct image *image)
{
	return image->elf.is_64 && elf_lacks_pvh_entry(&image->elf) &&
	       (image->container == IMAGE_BZIMAGE ? image->has_entry_64 : image_is_linux(image));
}

/* ---- unpacking ---- */

/* In the place of an unpacked kernel that nobody needs: pvh-shim takes the bzImage as it is. */
static const char no_entry_mark[] = "pronto: this kernel has no PVH entry\n";

static int unpack_unnamed(struct image *image, struct source *source, struct diag *diag)
{
	static const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL;
	int ret;

	image->fd = memfd_create("kernel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (image->fd < 0)
		return diag_fail(
			diag, errno, "no memory file to unpack it to: %s", strerror(errno));
	source->job.out_fd = image->fd;
	ret = unpack(image->compression, &source->job, diag);
	if (!ret && fcntl(image->fd, F_ADD_SEALS, seals))
		ret = diag_fail(
			diag, errno, "cannot seal the unpacked kernel: %s", strerror(errno));
	image->size = source->job.out_size;
	if (!ret)
		ret = elf_parse(&image->elf, image->fd, image->size, diag);
	if (ret < 0)
		close(image->fd);
	return ret;
}

static bool is_no_entry_mark(const struct image *image)
{
	char text[sizeof(no_entry_mark) - 1];

	return image->container == IMAGE_BZIMAGE && image->has_entry_64 &&
	       image->size == sizeof(text) && !file_read_at(image->fd, text, sizeof(text), 0) &&
	       !memcmp(text, no_entry_mark, sizeof(text));
}

/* 1: found; 0: not there; -ENOEXEC and the reason: it was found to have no PVH entry. */
static int take_from_cache(struct image *image, const struct cache *cache, struct diag *diag)
{
	image->fd = cache_find(cache, &image->size);
	if (image->fd < 0)
		return 0;
	if (!elf_parse(&image->elf, image->fd, image->size, diag))
		return 1;
	image->needs_shim = is_no_entry_mark(image);
	close(image->fd);
	memset(&image->elf, 0, sizeof(image->elf));
	return image->needs_shim ? elf_require_pvh_entry(&image->elf, diag) : 0;
}

/* 0, or -errno as write(2) has it. */
static int write_no_entry_mark(struct image *image, const struct cache *cache)
{
	image->size = sizeof(no_entry_mark) - 1;
	if (ftruncate(cache->new_fd, 0))
		return -errno;
	return file_write_at(cache->new_fd, no_entry_mark, image->size, 0);
}

/* Torn contents must not be kept under a name that promises one of the two. */
static int check_unchanged(const struct source *source, struct diag *diag)
{
	struct stat now;

	if (!fstat(source->fd, &now) && now.st_size == source->st.st_size &&
		now.st_mtim.tv_sec == source->st.st_mtim.tv_sec &&
		now.st_mtim.tv_nsec == source->st.st_mtim.tv_nsec &&
		now.st_ctim.tv_sec == source->st.st_ctim.tv_sec &&
		now.st_ctim.tv_nsec == source->st.st_ctim.tv_nsec)
		return 0;
	return diag_fail(diag, EAGAIN, "the file changed while it was read: try again");
}

static int unpack_into_cache(
	struct image *image, struct source *source, struct cache *cache, struct diag *diag)
{
	int ret;

	cache_drop(cache);
	ret = cache_create(cache, diag);
	if (ret < 0)
		return ret;
	source->job.out_fd = cache->new_fd;
	ret = unpack(image->compression, &source->job, diag);
	if (source->job.out_err)
		return cache_explain(cache, source->job.out_err, diag);
	if (ret < 0)
		return ret;
	image->size = source->job.out_size;
	ret = elf_parse(&image->elf, cache->new_fd, image->size, diag);
	if (ret < 0)
		return ret;
	ret = check_unchanged(source, diag);
	if (ret < 0)
		return ret;
	if (image->container == IMAGE_BZIMAGE && needs_shim(image)) {
		ret = write_no_entry_mark(image, cache);
		if (ret < 0)
			return cache_explain(cache, ret, diag);
		image->needs_shim = true;
	}
	ret = cache_publish(cache, image->size, diag);
	if (ret < 0)
		return ret;
	if (image->needs_shim)
		return elf_require_pvh_entry(&image->elf, diag);
	/* The entry, open for reading only; or, where it could not become one, the file itself. */
	if (take_from_cache(image, cache, diag) <= 0) {
		image->fd = cache->new_fd;
		image->size = source->job.out_size;
		cache->new_fd = -1;
		return elf_parse(&image->elf, image->fd, image->size, diag);
	}
	return 0;
}

static int unpack_cached(
	struct image *image, struct source *source, struct cache *cache, struct diag *diag)
{
	int found = take_from_cache(image, cache, diag), ret = 0;

	if (!found) {
		ret = cache_begin(cache, diag);
		if (ret < 0)
			return ret;
		/* Whoever held the lock until now may have made it. */
		found = take_from_cache(image, cache, diag);
		if (!found)
			ret = unpack_into_cache(image, source, cache, diag);
		cache_end(cache);
	}
	image->from_cache = found > 0;
	return found < 0 ? found : ret;
}

static int open_packed(
	struct image *image, struct source *source, bool use_cache, struct diag *diag)
{
	struct cache cache;
	int ret;

	image->owned_file = true;
	if (use_cache && cache_locate(&cache, &source->st))
		ret = unpack_cached(image, source, &cache, diag);
	else
		ret = unpack_unnamed(image, source, diag);
	/* A compression of which we know the name alone the kernel itself may know. */
	if (ret == -ENOTSUP && image->container == IMAGE_BZIMAGE)
		image->needs_shim = image->has_entry_64;
	close(source->fd);
	return ret;
}

static int open_identified(
	struct image *image, struct source *source, bool use_cache, struct diag *diag)
{
	int ret;

	if (image->container != IMAGE_ELF) {
		ret = open_packed(image, source, use_cache, diag);
	} else {
		image->fd = source->fd;
		image->size = source->size;
		ret = elf_parse(&image->elf, image->fd, image->size, diag);
		if (ret < 0)
			close(source->fd);
	}
	if (ret < 0) {
		image->fd = -1;
		return ret;
	}
	image->needs_shim = needs_shim(image);
	if (image->container != IMAGE_BZIMAGE) {
		image->room_start = image->elf.start;
		image->room_end = image->elf.end;
	}
	return 0;
}

static int open_and_identify(
	struct image *image, struct source *source, const char *path, struct diag *diag)
{
	int ret;

	memset(image, 0, sizeof(*image));
	image->fd = -1;
	ret = source_open(source, path, diag);
	if (ret < 0)
		return ret;
	ret = identify(image, source, diag);
	if (ret < 0)
		close(source->fd);
	return ret;
}

int image_open(struct image *image, const char *path, bool use_cache, struct diag *diag)
{
	struct source source;
	int ret = open_and_identify(image, &source, path, diag);

	return ret < 0 ? ret : open_identified(image, &source, use_cache, diag);
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
	struct source source;
	int ret = open_and_identify(image, &source, path, diag);

	if (ret < 0)
		return ret;
	if (image->container == IMAGE_BZIMAGE) {
		image->fd = source.fd;
		image->size = source.size;
		if (image->has_entry_64)
			return 0;
		image_close(image);
		return diag_fail(diag, ENOEXEC,
			"this bzImage has no 64-bit entry, which pvh-shim needs: take a 64-bit kernel of Linux 3.8 or newer");
	}
	ret = open_identified(image, &source, use_cache, diag);
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

void image_close(struct image *image)
{
	close(image->fd);
	image->fd = -1;
}

const char *image_container_name(enum image_container container)
{
	switch (container) {
	case IMAGE_UNKNOWN: return "unknown";
	case IMAGE_ELF: return "ELF";
	case IMAGE_BZIMAGE: return "bzImage";
	case IMAGE_COMPRESSED: return "compressed ELF";
	}
	return "?";
}

const char *image_compression_name(enum image_compression compression)
{
	switch (compression) {
	case IMAGE_NONE: return "uncompressed";
	case IMAGE_GZIP: return "gzip";
	case IMAGE_XZ: return "xz";
	case IMAGE_LZMA: return "lzma";
	case IMAGE_ZSTD: return "zstd";
	case IMAGE_LZ4: return "lz4";
	case IMAGE_BZIP2: return "bzip2";
	case IMAGE_LZO: return "lzo";
	}
	return "?";
}
