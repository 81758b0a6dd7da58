// SPDX-License-Identifier: MIT
/* debug_console.c - the debug console of Bochs and QEMU */

#include "dev/debug_console.h"

#define PRESENT 0xe9
#define ABSENT  0xff

static uint64_t debug_console_read(struct device *dev, uint64_t, unsigned int)
{
	return ((struct debug_console *)dev)->is_heard ? PRESENT : ABSENT;
}

static void debug_console_write(struct device *dev, uint64_t, unsigned int, uint64_t value)
{
	struct debug_console *console = (struct debug_console *)dev;

	console->put(console->ctx, (uint8_t)value);
}

static const struct device_ops debug_console_ops = {
	.read = debug_console_read,
	.write = debug_console_write,
};

void debug_console_init(struct debug_console *console, bool is_heard,
	void (*put)(void *ctx, uint8_t byte), void *ctx)
{
	*console = (struct debug_console){ .is_heard = is_heard, .put = put, .ctx = ctx };
	device_init(&console->dev, "debug console", &debug_console_ops);
}

void debug_console_fini(struct debug_console *console)
{
	device_fini(&console->dev);
}
