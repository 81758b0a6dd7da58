// SPDX-License-Identifier: MIT
/* debug_exit.c - QEMU's isa-debug-exit */

#include "dev/debug_exit.h"

static uint64_t debug_exit_read(struct device *, uint64_t, unsigned int)
{
	return 0;
}

static void debug_exit_write(struct device *dev, uint64_t, unsigned int, uint64_t value)
{
	struct debug_exit *debug_exit = (struct debug_exit *)dev;

	debug_exit->end(debug_exit->ctx, (uint8_t)(debug_exit->is_plain ? value : value << 1 | 1));
}

static const struct device_ops debug_exit_ops = {
	.read = debug_exit_read,
	.write = debug_exit_write,
};

void debug_exit_init(struct debug_exit *debug_exit, bool is_plain,
	void (*end)(void *ctx, uint8_t status), void *ctx)
{
	*debug_exit = (struct debug_exit){ .is_plain = is_plain, .end = end, .ctx = ctx };
	device_init(&debug_exit->dev, "debug exit", &debug_exit_ops);
}

void debug_exit_fini(struct debug_exit *debug_exit)
{
	device_fini(&debug_exit->dev);
}
