// SPDX-License-Identifier: MIT
/* snapshot_merge.c - what has changed since a snapshot, and that snapshot, made one that is whole
 */

#include "util/error.h"
#include "util/file.h"
#include "util/newfile.h"
#include "vm/snapshot_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PIECE MIB(1)

struct merging {
	int base, changes; /* memory files */
	struct newfile out;
	uint8_t *piece;
};

/* By the file system, which may have the two share it, or by us. */
static int copy(const struct merging *merging, int from, uint64_t at, uint64_t size)
{
	while (size) {
		off_t in = (off_t)at, out = (off_t)at;
		ssize_t n = copy_file_range(from, &in, merging->out.fd, &out, size, 0);
		int ret;

		if (n <= 0) {
			n = size < PIECE ? (ssize_t)size : (ssize_t)PIECE;
			ret = file_read_at(from, merging->piece, (size_t)n, at);
			if (!ret)
				ret = file_write_at(merging->out.fd, merging->piece, (size_t)n, at);
			if (ret)
				return ret;
		}
		at += (uint64_t)n;
		size -= (uint64_t)n;
	}
	return 0;
}

/* All that is no hole, up to `end`. */
static int copy_data(const struct merging *merging, int from, uint64_t end)
{
	for (uint64_t at = 0; at < end;) {
		off_t data = lseek(from, (off_t)at, SEEK_DATA), hole;
		int ret;

		if (data < 0)
			return errno == ENXIO ? 0 : -errno;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		if ((uint64_t)data >= end)
			return 0;
		if ((uint64_t)hole > end)
			hole = (off_t)end;
		ret = copy(merging, from, (uint64_t)data, (uint64_t)(hole - data));
		if (ret)
			return ret;
		at = (uint64_t)hole;
	}
	return 0;
}

static int write_whole(
	const struct merging *merging, uint64_t size, struct snapshot_trailer *trailer)
{
	int ret = ftruncate(merging->out.fd, (off_t)size) ? -errno : 0;

	memset(trailer->base, 0, sizeof(trailer->base));
	if (!ret)
		ret = copy_data(merging, merging->base, size);
	if (!ret)
		ret = copy_data(merging, merging->changes, size);
	if (!ret)
		ret = file_write_at(merging->out.fd, trailer, sizeof(*trailer), size);
	return !ret && fdatasync(merging->out.fd) ? -errno : ret;
}

static int merge_files(struct merging *merging, const char *path, uint64_t size,
	struct snapshot_trailer *trailer, struct diag *diag)
{
	char name[SNAPSHOT_MAX_NAME];
	int dir = -1, ret = snapshot_open_dir(path, &dir, name, diag);

	if (ret)
		return ret;
	ret = newfile_create(&merging->out, dir, 0600, false);
	if (!ret) {
		ret = write_whole(merging, size, trailer);
		if (!ret)
			ret = newfile_replace(&merging->out, name);
		newfile_discard(&merging->out);
	}
	close(dir);
	return ret ? diag_fail(diag, -ret, "%s: cannot be written: %s", path, error_text(-ret)) : 0;
}

int snapshot_merge(const char *base_path, const char *changes_path, struct diag *diag)
{
	struct snapshot base, changes;
	struct snapshot_trailer trailer;
	struct merging merging = { .piece = malloc(PIECE) };
	char *memory = NULL;
	int ret = snapshot_open_state(&base, base_path, diag);

	if (ret)
		goto out;
	ret = snapshot_open_memory(&base, base_path, NULL, diag);
	if (ret)
		goto out_base;
	ret = snapshot_open_state(&changes, changes_path, diag);
	if (ret)
		goto out_base;
	memory = snapshot_open_changes(&changes, changes_path, &trailer, diag);
	if (!memory || !merging.piece)
		ret = memory ? diag_fail(diag, ENOMEM, "out of memory") : -EINVAL;
	else if (snapshot_is_whole(&trailer))
		ret = diag_fail(diag, EINVAL, "%s: is whole already", memory);
	else if (memcmp(trailer.base, base.reader.id, STATE_ID_SIZE) != 0 ||
		 changes.machine.memory != base.machine.memory)
		ret = diag_fail(diag, EINVAL, "%s: has changes of another snapshot than %s", memory,
			base_path);
	if (!ret) {
		merging.base = base.memory_fd;
		merging.changes = changes.memory_fd;
		ret = merge_files(&merging, memory, base.machine.memory, &trailer, diag);
	}
	snapshot_close(&changes);
out_base:
	snapshot_close(&base);
out:
	free(memory);
	free(merging.piece);
	return ret;
}
