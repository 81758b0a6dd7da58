/* SPDX-License-Identifier: MIT */
/* overlay.h - what was written to a disk whose image is to stay as it is
 *
 * A sparse file that holds each written sector at its own place, and a bit for each sector that
 * says whether it is there.  So a write never has to read, however small it is.
 *
 * A file that is kept has a header, then the bits, then the sectors.  The bits reach it after the
 * sectors that they tell of have reached stable storage: after a crash of the host a sector is old
 * or new, as on any disk.
 */
#ifndef HOST_OVERLAY_H
#define HOST_OVERLAY_H

#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

struct overlay;

/* For a disk of `size` bytes.  In an unnamed file below $TMPDIR or /var/tmp; or in the file `path`,
 * which is made if it is not there.  `changed` is when the image was last changed, and is to be
 * what it was when the file was made; NULL: nobody knows (a block device does not tell).  NULL and
 * diag.
 */
struct overlay *overlay_create(uint64_t size, struct diag *diag);
struct overlay *overlay_open(
	const char *path, uint64_t size, const struct timespec *changed, struct diag *diag);

/* Save what has been marked, if the file is kept.  -errno: what was since it was saved is lost. */
int overlay_close(struct overlay *overlay);

/* Of one that goes with the process, nobody writes to it meanwhile: its file once more, without a
 * name, and the caller's.  -errno and diag.
 */
int overlay_copy(const struct overlay *overlay, uint64_t size, struct diag *diag);

/* Have a new one begin as `from` was when overlay_copy() gave `fd`, which stays as it is; of
 * `from`, which is in this process because it was forked from the other's, it takes what it needs,
 * and nobody is to use that again.  -errno and diag.
 */
int overlay_take(
	struct overlay *overlay, struct overlay *from, int fd, uint64_t size, struct diag *diag);

/* Where the disk's bytes are in it: the file, and what is added to their offset. */
int overlay_fd(const struct overlay *overlay);
uint64_t overlay_base(const struct overlay *overlay);

/* How many bytes from `offset` on, `size` at most, are alike: in the overlay, or not, which is told
 * by *here.  Offsets and sizes are of whole sectors.
 */
uint64_t overlay_run(const struct overlay *overlay, uint64_t offset, uint64_t size, bool *here);

/* These have been written. */
void overlay_mark(struct overlay *overlay, uint64_t offset, uint64_t size);

/* What has been marked is on stable storage afterwards, if the file is kept.  Waits.  -errno. */
int overlay_sync(struct overlay *overlay);

/* The same, where anything has been marked since: whoever opens the file finds all that is. */
int overlay_save(struct overlay *overlay);

#endif
