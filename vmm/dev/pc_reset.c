// SPDX-License-Identifier: MIT
/* pc_reset.c - the two ports by which a PC is reset */

#include "dev/pc_reset.h"

#include <stddef.h>

#define KEYBOARD_PULSE_RESET 0xfe

#define CONTROL_RESET_CPU 0x04 /* what sets this bit resets; the others say how */
#define CONTROL_WRITABLE  0x0e

/* Nothing to read, and room for a command: who waits for that before the reset (Linux up to 650,000
 * times) need not wait.
 */
static uint64_t keyboard_read(struct device *, uint64_t, unsigned int)
{
	return 0;
}

static void keyboard_write(struct device *dev, uint64_t, unsigned int, uint64_t value)
{
	struct pc_reset *pc_reset =
		(struct pc_reset *)((char *)dev - offsetof(struct pc_reset, keyboard));

	if ((value & 0xff) == KEYBOARD_PULSE_RESET)
		pc_reset->reset(pc_reset->ctx);
}

static uint64_t control_read(struct device *dev, uint64_t, unsigned int)
{
	struct pc_reset *pc_reset =
		(struct pc_reset *)((char *)dev - offsetof(struct pc_reset, control));

	return pc_reset->control_value;
}

static void control_write(struct device *dev, uint64_t, unsigned int, uint64_t value)
{
	struct pc_reset *pc_reset =
		(struct pc_reset *)((char *)dev - offsetof(struct pc_reset, control));
	uint8_t set = value & ~pc_reset->control_value & CONTROL_RESET_CPU;

	pc_reset->control_value = value & CONTROL_WRITABLE;
	if (set)
		pc_reset->reset(pc_reset->ctx);
}

static void control_reset(struct device *dev)
{
	struct pc_reset *pc_reset =
		(struct pc_reset *)((char *)dev - offsetof(struct pc_reset, control));

	pc_reset->control_value = 0;
}

static const struct device_ops keyboard_ops = { .read = keyboard_read, .write = keyboard_write };
static const struct device_ops control_ops = {
	.read = control_read,
	.write = control_write,
	.reset = control_reset,
};

void pc_reset_init(struct pc_reset *pc_reset, void (*reset)(void *ctx), void *ctx)
{
	*pc_reset = (struct pc_reset){ .reset = reset, .ctx = ctx };
	device_init(&pc_reset->keyboard, "keyboard controller", &keyboard_ops);
	device_init(&pc_reset->control, "reset control", &control_ops);
}

void pc_reset_fini(struct pc_reset *pc_reset)
{
	device_fini(&pc_reset->control);
	device_fini(&pc_reset->keyboard);
}
