/* SPDX-License-Identifier: MIT */
/* disk.h - an image file or a block device of the host, as a guest's disk
 *
 * Requests are started, and done later or at once; several are in flight.  They are moved by
 * io_uring, or where the host has none by calls that wait.  A disk is guarded by the lock that it
 * is attached with: all functions but open and close are called with it held.
 */
#ifndef HOST_DISK_H
#define HOST_DISK_H

#include "loop/loop.h"
#include "util/diag.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct disk;

#define DISK_SECTOR 512u

enum disk_engine { DISK_ENGINE_AUTO, DISK_ENGINE_URING, DISK_ENGINE_SYNC };
enum disk_overlay { DISK_OVERLAY_NONE, DISK_OVERLAY_GONE, DISK_OVERLAY_KEPT };

struct disk_spec {
	const char *path;
	bool read_only;
	bool direct;       /* past the host's page cache */
	bool may_be_empty; /* a place for a file that comes later; not with an overlay */
	enum disk_engine engine;
	/* What is written goes beside the image, which stays as it is: into a file that nobody else
	 * sees and that goes with the process, or into one that is kept.
	 */
	enum disk_overlay overlay;
	const char *overlay_path; /* DISK_OVERLAY_KEPT */
};

enum disk_op {
	DISK_READ,
	DISK_WRITE,
	DISK_FLUSH,   /* what was done before is on stable storage */
	DISK_DISCARD, /* its contents are not wanted any more */
	DISK_ZERO,    /* it reads as zeros; without unmap it keeps its room on the host */
};

/* A part of a request that one system call does. */
struct disk_piece {
	enum { PIECE_READ, PIECE_WRITE, PIECE_SYNC, PIECE_ALLOCATE } call;
	int fd;
	uint64_t offset, size;
	const struct iovec *iov;
	unsigned int n_iov;
	int flags; /* RWF_*, or FALLOC_FL_* */
};

/* A request: the caller's until it is started, and again when it is done. */
struct disk_io {
	enum disk_op op;
	bool durable;          /* of a write: on stable storage when it is done */
	bool unmap;            /* of DISK_ZERO */
	uint64_t offset, size; /* bytes within the disk; multiples of its block size */
	struct iovec *iov;     /* of a read or write, `size` bytes in all; used up */
	unsigned int n_iov;

	int result; /* when it is done: 0 or -errno */

	/* The disk's own. */
	uint64_t done;
	struct disk_piece piece;
	struct iovec cut; /* the piece's last segment as it was */
	struct iovec zero;
};

struct disk_ops {
	/* It is done; also from within disk_start(). */
	void (*done)(void *ctx, struct disk_io *io);
	/* Some are done, and no more for now; not from within disk_start() and disk_submit(). */
	void (*settled)(void *ctx);
	/* Between its pieces: nobody wants what is left of it, which then fails.  NULL: all is
	 * wanted.
	 */
	bool (*unwanted)(void *ctx, const struct disk_io *io);
};

/* Open and lock it.  NULL and diag, which begins with the path.  The main thread. */
struct disk *disk_open(const struct disk_spec *spec, struct diag *diag);
void disk_close(struct disk *disk);

/* Have `spec`'s file behind it in place of the one that it has, or look at that one anew if it is
 * the same.  The rest of `spec` is as it was; the blocks stay as large as they were, as the guest
 * knows them.  `fd` is that file, by disk_open_path(), and the caller's; -1: it is opened.  Nothing
 * is in flight (disk_wait()).  -errno and diag, which begins with a path: all is as it was.  The
 * main thread.
 */
int disk_exchange(struct disk *disk, const struct disk_spec *spec, int fd, struct diag *diag);

/* Open `spec`'s file for a disk of another process, which may open none: a descriptor, the
 * caller's, or -errno and diag, which begins with the path.  `before` is where the disk's file is
 * until now; NULL: it has none.  If that is the same, the disk holds it, and nobody else can.  Any
 * thread.
 */
int disk_open_path(const struct disk_spec *spec, const char *before, struct diag *diag);

/* For a copy that is made of the machine's state: whoever opens the disk's files finds all that was
 * written.  Of a file that is so by itself; an overlay that is kept is saved.  Nothing is in
 * flight.  Waits.  -errno.
 */
int disk_save_overlay(struct disk *disk);

uint64_t disk_size(const struct disk *disk);       /* bytes, a multiple of the block size */
uint32_t disk_block_size(const struct disk *disk); /* what offset and size are multiples of */
uint32_t disk_good_size(const struct disk *disk);  /* and had better be */

/* Have its blocks be as large as the guest has known them, of a disk that was just opened; the size
 * is cut to whole ones.  -EINVAL: the file's are larger, or there are no such blocks.
 */
int disk_keep_blocks(struct disk *disk, uint32_t block_size);

/* For a fork: what is written to a file that goes with the process, in a file that is the caller's;
 * and have a disk that was just opened begin with that.  As overlay_copy(), overlay_take(), of
 * disks that have such a file (DISK_OVERLAY_GONE).  Nothing is in flight.
 */
int disk_copy_overlay(const struct disk *disk, struct diag *diag);
int disk_take_overlay(struct disk *disk, struct disk *from, int fd, struct diag *diag);

/* Have the loop see to what is done.  -errno. */
int disk_attach(struct disk *disk, struct loop *loop, pthread_mutex_t *lock,
	const struct disk_ops *ops, void *ctx);

/* Begin a request; it may wait until disk_submit(), which also tells what is done already. */
void disk_start(struct disk *disk, struct disk_io *io);
void disk_submit(struct disk *disk);

/* Until nothing is in flight: each has been told to be done. */
void disk_wait(struct disk *disk);

#endif
