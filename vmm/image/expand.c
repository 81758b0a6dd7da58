// SPDX-License-Identifier: MIT
/* expand.c - a file's content, unpacked into memory: a kernel's module */

#include "image/expand.h"

#include "image/codec.h"
#include "image/unpack.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/file.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

struct content {
	uint8_t *data;
	size_t size, room;
};

static int read_whole(int fd, uint64_t max, struct content *packed, struct diag *diag)
{
	struct stat st;
	int ret;

	if (fstat(fd, &st))
		return diag_fail(diag, errno, "%s", error_text(errno));
	if (!S_ISREG(st.st_mode) || !st.st_size)
		return diag_fail(diag, EINVAL, "it is no file with something in it");
	if ((uint64_t)st.st_size > max)
		return diag_fail(
			diag, EFBIG, "it has more than %llu MiB", (unsigned long long)max >> 20);
	packed->size = (size_t)st.st_size;
	packed->data = malloc(packed->size);
	if (!packed->data)
		return diag_fail(diag, ENOMEM, "out of memory");
	ret = file_read_at(fd, packed->data, packed->size, 0);
	return ret ? diag_fail(diag, -ret, "cannot be read: %s", error_text(-ret)) : 0;
}

static int grow(struct content *plain, uint64_t max)
{
	size_t room = plain->room ? 2 * plain->room : KIB(256);
	uint8_t *data;

	if (plain->room >= max)
		return -EFBIG;
	if (room > max)
		room = max;
	data = realloc(plain->data, room);
	if (!data)
		return -ENOMEM;
	plain->data = data;
	plain->room = room;
	return 0;
}

static int run(const struct codec *codec, void *state, const struct content *packed,
	struct content *plain, uint64_t max)
{
	struct codec_buf buf = { .in = packed->data, .n_in = packed->size, .in_ends = true };
	int ret;

	do {
		size_t n_in = buf.n_in, n_out;

		ret = plain->size == plain->room ? grow(plain, max) : 0;
		if (ret)
			return ret;
		buf.out = plain->data + plain->size;
		buf.n_out = n_out = plain->room - plain->size;
		ret = codec->step(state, &buf);
		plain->size = plain->room - buf.n_out;
		if (ret == CODEC_MORE && buf.n_in == n_in && buf.n_out == n_out)
			return -EBADMSG;
	} while (ret == CODEC_MORE);
	return ret < 0 ? ret : 0;
}

static const struct codec *find_codec(enum image_compression compression)
{
	switch (compression) {
	case IMAGE_GZIP: return &codec_gzip;
	case IMAGE_XZ: return &codec_xz;
	case IMAGE_ZSTD: return &codec_zstd;
	default: return NULL;
	}
}

static int expand(const struct content *packed, enum image_compression compression,
	struct content *plain, uint64_t max)
{
	const struct codec *codec = find_codec(compression);
	void *state;
	int ret;

	if (!codec)
		return -ENOTSUP;
	state = codec->create();
	if (!state)
		return -ENOMEM;
	ret = run(codec, state, packed, plain, max);
	codec->destroy(state);
	return ret || plain->size ? ret : -EBADMSG;
}

static int explain(int err, const char *name, uint64_t max, struct diag *diag)
{
	switch (-err) {
	case EBADMSG: return diag_fail(diag, EINVAL, "it is packed by %s, and damaged", name);
	case EFBIG:
		return diag_fail(diag, EFBIG, "packed by %s, it has more than %llu MiB", name,
			(unsigned long long)max >> 20);
	case ENOTSUP: return diag_fail(diag, ENOTSUP, "it is packed by %s: use another", name);
	default: return diag_fail(diag, -err, "%s", error_text(-err));
	}
}

int expand_file(int fd, uint64_t max, uint8_t **data, size_t *size, struct diag *diag)
{
	struct content packed = { 0 }, plain = { 0 };
	enum image_compression compression;
	int ret = read_whole(fd, max, &packed, diag);

	compression = ret ? IMAGE_NONE : unpack_identify(packed.data, packed.size);
	if (!ret && compression == IMAGE_NONE) {
		*data = packed.data;
		*size = packed.size;
		return 0;
	}
	if (!ret) {
		ret = expand(&packed, compression, &plain, max);
		if (ret)
			ret = explain(ret, image_compression_name(compression), max, diag);
	}
	free(packed.data);
	if (ret) {
		free(plain.data);
		return ret;
	}
	*data = plain.data;
	*size = plain.size;
	return 0;
}
