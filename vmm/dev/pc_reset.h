/* SPDX-License-Identifier: MIT */
/* pc_reset.h - the two ports by which a PC is reset
 *
 * The keyboard controller's command port, 0x64, of which only the reset line is there (command
 * 0xfe), and the reset control register, 0xcf9.  ACPI tells of neither: they are for guests that do
 * not ask it. Sources: IBM PC AT Technical Reference, keyboard controller; Intel I/O Controller Hub
 * 9 data sheet, 13.7.5.
 */
#ifndef DEV_PC_RESET_H
#define DEV_PC_RESET_H

#include "bus/bus.h"

struct pc_reset {
	struct device keyboard; /* at PLATFORM_KEYBOARD_PORT, 1 byte */
	struct device control;  /* at PLATFORM_RESET_CONTROL_PORT, 1 byte */
	uint8_t control_value;
	/* The guest wants a reset.  Called on its vCPU's thread with that device's lock held. */
	void (*reset)(void *ctx);
	void *ctx;
};

void pc_reset_init(struct pc_reset *pc_reset, void (*reset)(void *ctx), void *ctx);
void pc_reset_fini(struct pc_reset *pc_reset);

#endif
