/* SPDX-License-Identifier: MIT */
/* blk_parts.h - what the files that make up blk.h's device share
 *
 * blk.c is the device, blk_request.c what a guest asks of it and how that is answered.
 */
#ifndef DEV_BLK_PARTS_H
#define DEV_BLK_PARTS_H

#include "dev/blk.h"
#include "host/disk.h"
#include "util/rate.h"

#include <linux/virtio_blk.h>

#define BLK_QUEUE_SIZE 256
#define BLK_MAX_SEGMENTS                                                         \
	(BLK_QUEUE_SIZE - 2) /* of data: the header and the status have one each \
	                      */

/* 5.2.6.2: ranges of one discard, and how large each may be. */
#define BLK_MAX_RANGES        64
#define BLK_MAX_RANGE_SECTORS (UINT32_MAX / DISK_SECTOR)

/* In flight: its segments are its own until the host is done with it. */
struct blk_request {
	struct disk_io io; /* first */
	struct virtq *vq;
	uint16_t head;
	uint8_t *status;
	uint32_t type; /* VIRTIO_BLK_T_* */
	uint32_t n_in; /* bytes of data for the guest */
	uint32_t size; /* bytes of data, either way */

	/* Of a discard: the ranges that are still to be done. */
	struct virtio_blk_discard_write_zeroes range[BLK_MAX_RANGES];
	unsigned int n_ranges, next_range;
	bool then_flush; /* and what they have done is to be on stable storage */

	struct blk_request *next; /* while it is free */
	struct iovec iov[BLK_MAX_SEGMENTS + 2];
};

struct blk {
	struct virtio_dev dev; /* first */
	struct disk *disk;
	struct virtio_blk_config config;
	char serial[VIRTIO_BLK_ID_BYTES];
	bool read_only;
	bool is_gone_with_us; /* what is written to it, if */
	bool was_changed;     /* something may have been */
	bool write_back; /* what is written may stay in the host's memory until it is flushed */
	struct rate rate;
	struct loop_source timer;     /* for what has to wait by it; fd -1: there is no limit */
	struct blk_request *requests; /* owned; as many as all queues together can have in flight */
	unsigned int n_requests;
	unsigned int n_touched;   /* of them, the first: what no guest has needed takes no memory */
	struct blk_request *free; /* of these */
	uint64_t n_bytes;         /* of data in flight, or done since io_settled() */
	uint64_t n_done;          /* the latter */
	bool waits;               /* some request does, until there are less */
	const struct virtq *stopping; /* its requests are waited for, or given up; or NULL */

	uint64_t n_reads, n_writes, n_flushes, n_failures, n_unknown;
	uint64_t n_read, n_written; /* bytes */
	uint64_t n_throttled;       /* times that a queue had to wait by its rate */
	uint64_t n_updates;
};

/* As those of a class. */
int blk_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain);
void blk_served(struct virtio_dev *dev, struct virtq *vq);

/* What the disk tells, of a struct blk; and that no more of it is to come for now. */
extern const struct disk_ops blk_disk_ops;
void blk_settled(struct blk *blk);

#endif
