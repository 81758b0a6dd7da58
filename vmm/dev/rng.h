/* SPDX-License-Identifier: MIT */
/* rng.h - virtio-rng: the host's random bytes for the guest
 *
 * Source: virtio 1.2, 5.4.
 */
#ifndef DEV_RNG_H
#define DEV_RNG_H

#include "util/rate.h"
#include "util/schema.h"
#include "virtio/virtio.h"

struct rng_options {
	struct rate_limit rate; /* of bytes */
	struct rate_limit ops;  /* of requests */
};

extern const struct schema rng_schema; /* of a struct rng_options */
extern const struct virtio_class rng_class;

#endif
