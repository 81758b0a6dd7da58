/* SPDX-License-Identifier: MIT */
/* rng.h - virtio-rng: the host's random bytes for the guest
 *
 * Source: virtio 1.2, 5.4.
 */
#ifndef DEV_RNG_H
#define DEV_RNG_H

#include "util/schema.h"
#include "virtio/virtio.h"

extern const struct schema rng_schema; /* of nothing: it has no options */
extern const struct virtio_class rng_class;

#endif
