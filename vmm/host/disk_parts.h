/* SPDX-License-Identifier: MIT */
/* disk_parts.h - what the files that make up disk.h's module share */
#ifndef HOST_DISK_PARTS_H
#define HOST_DISK_PARTS_H

#include "host/disk.h"
#include "host/overlay.h"
#include "util/bits.h"
#include "util/log.h"

struct uring;

#define DISK_BOUNCE KIB(64)
#define DISK_ALIGN  4096u /* what direct I/O may want memory to be aligned to */

struct disk {
	char *path;
	int fd;
	bool is_block_device;
	uint64_t size;           /* bytes */
	struct timespec changed; /* a file, the last time; of a device nobody knows */
	uint32_t block_size;     /* of its requests */
	uint32_t good_size;
	struct overlay *overlay; /* NULL: what is written goes into the image */
	struct uring *uring;     /* NULL: calls that wait */
	uint8_t *bounce;         /* DISK_BOUNCE bytes, of a disk with direct I/O; else NULL */

	const struct disk_ops *ops;
	void *ctx;
	unsigned int n_in_flight;
	bool no_punch;      /* the host's file system has no holes */
	bool no_zero_range; /* nor, or else, zeros that are not written */
	struct log_limit limit;
};

/* ---- disk_open.c: the file ---- */

/* Fill in path, fd and what is known by them, of a disk that takes the place of `before` or of none
 * (NULL).  `fd`: its file, the caller's; -1: it is opened.  -errno, diag; what was filled in is the
 * caller's to give back.
 */
int disk_open_file(struct disk *disk, const struct disk_spec *spec, const struct disk *before,
	int fd, struct diag *diag);

/* ---- disk_call.c: one piece, by a call that waits.  What the call returned, or -errno. ---- */

int disk_call(const struct disk_piece *piece);

/* The same of a read or write, or its beginning, by way of memory that is well aligned. */
int disk_call_bounced(const struct disk_piece *piece, void *bounce, size_t bounce_size);

/* ---- disk_uring.c: many at once ---- */

/* At least `depth` requests.  NULL and diag. */
struct uring *uring_create(unsigned int depth, struct diag *diag);
void uring_destroy(struct uring *uring);
int uring_attach(struct uring *uring, struct loop *loop, struct loop_source source);

/* Queue a piece of `io`; false if there is no room and none can be made. */
bool uring_start(struct uring *uring, struct disk_io *io);

/* Hand over what is queued; wait for one to be done if `wait`. */
void uring_submit(struct uring *uring, bool wait);

/* One that is done and what its call returned; NULL: none. */
struct disk_io *uring_reap(struct uring *uring, int *result);

#endif
