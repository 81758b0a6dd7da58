/* SPDX-License-Identifier: MIT */
/* vhost_wire.h - what a back end of vhost-user reads and writes
 *
 * For tests and fuzzing: what the specification says, not what vmm/host/vhost_user.c makes of it.
 */
#ifndef TESTS_UNIT_VHOST_WIRE_H
#define TESTS_UNIT_VHOST_WIRE_H

#include <stdint.h>

/* The requests, as the specification numbers them. */
enum {
	V_GET_FEATURES = 1,
	V_SET_FEATURES = 2,
	V_SET_OWNER = 3,
	V_SET_MEM_TABLE = 5,
	V_SET_VRING_NUM = 8,
	V_SET_VRING_ADDR = 9,
	V_SET_VRING_BASE = 10,
	V_GET_VRING_BASE = 11,
	V_SET_VRING_KICK = 12,
	V_SET_VRING_CALL = 13,
	V_GET_PROTOCOL_FEATURES = 15,
	V_SET_PROTOCOL_FEATURES = 16,
	V_GET_QUEUE_NUM = 17,
	V_SET_VRING_ENABLE = 18,
	V_GET_CONFIG = 24,
	V_SET_CONFIG = 25,
};

/* A message's flags. */
#define V_VERSION    1u
#define V_REPLY      4u
#define V_NEED_REPLY 8u

#define V_GATED (UINT64_C(1) << 30) /* the feature that there are protocol features */

struct v_header {
	uint32_t request, flags, size;
};

#endif
