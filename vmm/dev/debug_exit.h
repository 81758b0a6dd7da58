/* SPDX-License-Identifier: MIT */
/* debug_exit.h - QEMU's isa-debug-exit: a port by which a guest ends, and says how
 *
 * Source: QEMU's hw/misc/debugexit.c, as its users know it: a write of `value` ends the process
 * with status value << 1 | 1, so that 0 stays what no guest can say.  For a guest program of ours,
 * which powers off instead of saying 0, the status is the value.
 */
#ifndef DEV_DEBUG_EXIT_H
#define DEV_DEBUG_EXIT_H

#include "bus/bus.h"

#include <stdbool.h>

#define DEBUG_EXIT_SIZE 4 /* ports */

struct debug_exit {
	struct device dev;
	bool is_plain; /* the status is the value */
	/* Called on the vCPU's thread with the device's lock held. */
	void (*end)(void *ctx, uint8_t status);
	void *ctx;
};

void debug_exit_init(struct debug_exit *debug_exit, bool is_plain,
	void (*end)(void *ctx, uint8_t status), void *ctx);
void debug_exit_fini(struct debug_exit *debug_exit);

#endif
