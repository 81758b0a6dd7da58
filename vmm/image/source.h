/* SPDX-License-Identifier: MIT */
/* source.h - step 1: from a path to an open kernel file
 *
 * The functions are for image/ alone.
 */
#ifndef IMAGE_SOURCE_H
#define IMAGE_SOURCE_H

#include "util/bits.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>

/* No kernel is larger: neither what is in a file, nor what is unpacked from one. */
#define IMAGE_MAX_FILE GIB(4)

struct image_source {
	int fd;         /* for reading; owned, -1 once somebody has taken it over */
	struct stat st; /* as it was when it was opened */
	uint64_t size;  /* > 0 */
};

/* A regular file, not empty.  0, or -errno and the reason. */
int source_open(struct image_source *source, const char *path, struct diag *diag);
void source_close(struct image_source *source);

/* Somebody wrote to it, as its times tell. */
bool source_changed(const struct image_source *source);

/* Only we and root can write to it.  Anybody else could by a mapping made beforehand, which changes
 * no time of the file that we could see.
 */
bool source_is_ours(const struct image_source *source);

#endif
