/* SPDX-License-Identifier: MIT */
/* balloon.h - virtio-balloon: memory that the guest does without goes back to the host
 *
 * Source: virtio 1.2, 5.5.  The guest gives pages in two ways: those that it is asked for (the
 * balloon), and those that happen to be free (reporting), which it may use again at any time.
 */
#ifndef DEV_BALLOON_H
#define DEV_BALLOON_H

#include "util/schema.h"
#include "virtio/virtio.h"

struct balloon_options {
	uint64_t size;    /* bytes that the guest is asked for */
	bool reporting;   /* of free pages */
	uint32_t stats_s; /* seconds between two looks at the guest's statistics; 0: none */
};

extern const struct schema balloon_schema; /* of a struct balloon_options */
extern const struct virtio_class balloon_class;

#endif
