/* SPDX-License-Identifier: MIT */
/* plain.h - step 3: from a kernel file to a file that holds the plain ELF
 *
 * Which is the file itself, or an entry of the cache, or one that it is unpacked to.  Inside image/
 * only.
 */
#ifndef IMAGE_PLAIN_H
#define IMAGE_PLAIN_H

#include "image/cache.h"
#include "image/identify.h"
#include "image/source.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>

struct plain {
	int fd; /* for reading; owned, by the cache's new file if is_new */
	uint64_t size;
	bool from_cache;         /* found there */
	bool no_entry;           /* all that is known of it: it has no PVH entry; then fd is -1 */
	bool is_new;             /* it may become an entry of the cache */
	struct diag cache_fault; /* why the cache is of no use; "": it is, or was not asked */
	struct cache cache;
};

/* 0, or -errno and the reason.  A file in place gives up its descriptor.  Whatever the outcome,
 * plain_take() or plain_close() follows.
 */
int plain_open(struct plain *plain, struct image_source *source, const struct image_kind *kind,
	bool use_cache, struct diag *diag);

/* The ELF has been seen to be what it promises.  If it was unpacked for the cache, have that keep
 * it; or, if no_entry, that alone, and the ELF is gone.  0; -EAGAIN and the reason: the source was
 * written to meanwhile.
 */
int plain_keep(
	struct plain *plain, const struct image_source *source, bool no_entry, struct diag *diag);

/* The descriptor, which is the caller's now, or -1; all else is released. */
int plain_take(struct plain *plain);

/* Release all; `drop`: what was found in the cache is not what it was, and is thrown away. */
void plain_close(struct plain *plain, bool drop);

#endif
