// SPDX-License-Identifier: MIT
/* codec.c - the decompression libraries, brought to one shape */

#include "image/codec.h"

#include <bzlib.h>
#include <errno.h>
#include <lz4frame.h>
#include <lzma.h>
#include <stdlib.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

/* ---- zlib ---- */

static void *gzip_create(void)
{
	z_stream *z = calloc(1, sizeof(*z));

	/* 16 more than the window's log asks for gzip's header and checksum. */
	if (z && inflateInit2(z, MAX_WBITS + 16) != Z_OK) {
		free(z);
		z = NULL;
	}
	return z;
}

static int gzip_step(void *state, struct codec_buf *buf)
{
	z_stream *z = state;
	int ret;

	z->next_in = (Bytef *)(uintptr_t)buf->in; /* zlib does not write there */
	z->avail_in = (uInt)buf->n_in;
	z->next_out = buf->out;
	z->avail_out = (uInt)buf->n_out;
	ret = inflate(z, Z_NO_FLUSH);
	buf->in = z->next_in;
	buf->n_in = z->avail_in;
	buf->out = z->next_out;
	buf->n_out = z->avail_out;
	switch (ret) {
	case Z_STREAM_END: return CODEC_END;
	case Z_OK:
	case Z_BUF_ERROR: return CODEC_MORE;
	case Z_MEM_ERROR: return -ENOMEM;
	default: return -EBADMSG;
	}
}

static void gzip_destroy(void *state)
{
	inflateEnd(state);
	free(state);
}

const struct codec codec_gzip = { gzip_create, gzip_step, gzip_destroy };

/* ---- liblzma ---- */

static void *xz_create(void)
{
	lzma_stream *xz = calloc(1, sizeof(*xz));

	if (xz && lzma_stream_decoder(xz, CODEC_MAX_MEMORY, 0) != LZMA_OK) {
		free(xz);
		xz = NULL;
	}
	return xz;
}

static void *lzma_create(void)
{
	lzma_stream *xz = calloc(1, sizeof(*xz));

	if (xz && lzma_alone_decoder(xz, CODEC_MAX_MEMORY) != LZMA_OK) {
		free(xz);
		xz = NULL;
	}
	return xz;
}

static int xz_step(void *state, struct codec_buf *buf)
{
	lzma_stream *xz = state;
	lzma_ret ret;

	xz->next_in = buf->in;
	xz->avail_in = buf->n_in;
	xz->next_out = buf->out;
	xz->avail_out = buf->n_out;
	ret = lzma_code(xz, buf->in_ends ? LZMA_FINISH : LZMA_RUN);
	buf->in = xz->next_in;
	buf->n_in = xz->avail_in;
	buf->out = xz->next_out;
	buf->n_out = xz->avail_out;
	switch (ret) {
	case LZMA_STREAM_END: return CODEC_END;
	case LZMA_OK:
	case LZMA_BUF_ERROR: return CODEC_MORE;
	case LZMA_MEM_ERROR:
	case LZMA_MEMLIMIT_ERROR: return -ENOMEM;
	default: return -EBADMSG;
	}
}

static void xz_destroy(void *state)
{
	lzma_end(state);
	free(state);
}

const struct codec codec_xz = { xz_create, xz_step, xz_destroy };
const struct codec codec_lzma = { lzma_create, xz_step, xz_destroy };

/* ---- libbz2 ---- */

static void *bzip2_create(void)
{
	bz_stream *bz = calloc(1, sizeof(*bz));

	if (bz && BZ2_bzDecompressInit(bz, 0, 0) != BZ_OK) {
		free(bz);
		bz = NULL;
	}
	return bz;
}

static int bzip2_step(void *state, struct codec_buf *buf)
{
	bz_stream *bz = state;
	int ret;

	bz->next_in = (char *)(uintptr_t)buf->in; /* libbz2 does not write there */
	bz->avail_in = (unsigned int)buf->n_in;
	bz->next_out = (char *)buf->out;
	bz->avail_out = (unsigned int)buf->n_out;
	ret = BZ2_bzDecompress(bz);
	buf->in = (uint8_t *)bz->next_in;
	buf->n_in = bz->avail_in;
	buf->out = (uint8_t *)bz->next_out;
	buf->n_out = bz->avail_out;
	switch (ret) {
	case BZ_STREAM_END: return CODEC_END;
	case BZ_OK: return CODEC_MORE;
	case BZ_MEM_ERROR: return -ENOMEM;
	default: return -EBADMSG;
	}
}

static void bzip2_destroy(void *state)
{
	BZ2_bzDecompressEnd(state);
	free(state);
}

const struct codec codec_bzip2 = { bzip2_create, bzip2_step, bzip2_destroy };

/* ---- libzstd ---- */

static void *zstd_create(void)
{
	ZSTD_DCtx *zstd = ZSTD_createDCtx();

	if (zstd &&
		ZSTD_isError(ZSTD_DCtx_setParameter(zstd, ZSTD_d_windowLogMax, CODEC_WINDOW_LOG))) {
		ZSTD_freeDCtx(zstd);
		zstd = NULL;
	}
	return zstd;
}

static int zstd_step(void *state, struct codec_buf *buf)
{
	ZSTD_inBuffer in = { buf->in, buf->n_in, 0 };
	ZSTD_outBuffer out = { buf->out, buf->n_out, 0 };
	size_t ret = ZSTD_decompressStream(state, &out, &in);

	buf->in += in.pos;
	buf->n_in -= in.pos;
	buf->out += out.pos;
	buf->n_out -= out.pos;
	if (!ZSTD_isError(ret))
		return ret ? CODEC_MORE : CODEC_END;
	switch (ZSTD_getErrorCode(ret)) {
	case ZSTD_error_memory_allocation:
	case ZSTD_error_frameParameter_windowTooLarge: return -ENOMEM;
	default: return -EBADMSG;
	}
}

static void zstd_destroy(void *state)
{
	ZSTD_freeDCtx(state);
}

const struct codec codec_zstd = { zstd_create, zstd_step, zstd_destroy };

/* ---- liblz4, frames ---- */

static void *lz4_create(void)
{
	LZ4F_dctx *lz4;

	return LZ4F_isError(LZ4F_createDecompressionContext(&lz4, LZ4F_VERSION)) ? NULL : lz4;
}

static int lz4_step(void *state, struct codec_buf *buf)
{
	size_t n_in = buf->n_in, n_out = buf->n_out;
	size_t ret = LZ4F_decompress(state, buf->out, &n_out, buf->in, &n_in, NULL);

	buf->in += n_in;
	buf->n_in -= n_in;
	buf->out += n_out;
	buf->n_out -= n_out;
	if (LZ4F_isError(ret))
		return -EBADMSG;
	return ret ? CODEC_MORE : CODEC_END;
}

static void lz4_destroy(void *state)
{
	LZ4F_freeDecompressionContext(state);
}

const struct codec codec_lz4_frame = { lz4_create, lz4_step, lz4_destroy };
