/* SPDX-License-Identifier: MIT */
/* debug_console.h - the debug console of Bochs and QEMU: a port that takes bytes
 *
 * What is written to port 0xe9 is printed.  A guest that reads 0xe9 there knows that somebody
 * listens.
 */
#ifndef DEV_DEBUG_CONSOLE_H
#define DEV_DEBUG_CONSOLE_H

#include "bus/bus.h"

#include <stdbool.h>

struct debug_console {
	struct device dev; /* at PLATFORM_DEBUG_CONSOLE_PORT, 1 byte */
	bool is_heard;
	/* Take a byte.  Called on the vCPU's thread with the device's lock held; does not block. */
	void (*put)(void *ctx, uint8_t byte);
	void *ctx;
};

/* put() is called whether anybody listens or not. */
void debug_console_init(struct debug_console *console, bool is_heard,
	void (*put)(void *ctx, uint8_t byte), void *ctx);
void debug_console_fini(struct debug_console *console);

#endif
