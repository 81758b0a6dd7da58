/* SPDX-License-Identifier: MIT */
/* balloon.h - virtio-balloon: memory that the guest does without goes back to the host
 *
 * Source: virtio 1.2, 5.5.  The guest gives pages in three ways: those that it is asked for (the
 * balloon), those that happen to be free, which it may use again at any time (reporting), and those
 * that are free when the host asks (hinting).
 */
#ifndef DEV_BALLOON_H
#define DEV_BALLOON_H

#include "util/schema.h"
#include "virtio/virtio.h"

struct balloon_options {
	uint64_t size;    /* bytes that the guest is asked for */
	bool reporting;   /* of free pages */
	bool hinting;     /* at free pages, when the host asks */
	uint32_t stats_s; /* seconds between two looks at the guest's statistics; 0: none */
};

/* Its commands.  A run of hints begins: when the guest has no more, it may use those pages again,
 * or it is to keep them until the run is stopped.  The status is { host_cmd, guest_cmd }, which are
 * ids of runs or VIRTIO_BALLOON_CMD_ID_*; null: the guest has said nothing.
 */
#define BALLOON_HINTS_START         "start-hints"
#define BALLOON_HINTS_START_KEEPING "start-hints-keeping"
#define BALLOON_HINTS_STOP          "stop-hints"
#define BALLOON_HINTS_STATUS        "hints"

extern const struct schema balloon_schema; /* of a struct balloon_options */
extern const struct virtio_class balloon_class;

#endif
