// SPDX-License-Identifier: MIT
/* source.c - step 1: from a path to an open kernel file */

#include "image/source.h"

#include "util/file.h"

#include <errno.h>
#include <inttypes.h>
#include <unistd.h>

int source_open(struct image_source *source, const char *path, struct diag *diag)
{
	source->fd = file_open_regular(path, &source->st, diag);
	if (source->fd < 0)
		return source->fd;
	source->size = (uint64_t)source->st.st_size;
	if (source->size <= IMAGE_MAX_FILE)
		return 0;
	source_close(source);
	return diag_fail(diag, EFBIG,
		"the file has %" PRIu64 " MiB and no kernel more than %" PRIu64
		": is it a disk image?",
		source->size >> 20, (uint64_t)(IMAGE_MAX_FILE >> 20));
}

void source_close(struct image_source *source)
{
	if (source->fd >= 0)
		close(source->fd);
	source->fd = -1;
}

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

bool source_changed(const struct image_source *source)
{
	struct stat now;

	return file_stat(source->fd, &now) || now.st_size != source->st.st_size ||
	       !same_time(now.st_mtim, source->st.st_mtim) ||
	       !same_time(now.st_ctim, source->st.st_ctim);
}

/* An access list's right to write shows in the group's bit. */
bool source_is_ours(const struct image_source *source)
{
	return (source->st.st_uid == 0 || source->st.st_uid == geteuid()) &&
	       !(source->st.st_mode & (S_IWGRP | S_IWOTH));
}
