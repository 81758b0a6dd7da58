// SPDX-License-Identifier: GPL-2.0 OR MIT
/* console.c - the default of pvh_puts(): a serial port, or port 0xe9 */

#include "pvh.h"

#ifdef CONFIG_PVH

#define COM1       0x3f8
#define COM1_LSR   (COM1 + 5)
#define LSR_THRE   0x20 /* room to send */
#define DEBUG_PORT 0xe9 /* of QEMU, which reads as its number; of Xen, which does not */
#define NOTHING    0xff /* where no device answers */
#define PATIENCE   100000

static uint8_t in8(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void out8(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

/* A port that never gets ready costs PATIENCE once: the caller does not try it again. */
static int serial_put(uint8_t byte)
{
	for (uint32_t i = 0; i < PATIENCE; i++) {
		if (in8(COM1_LSR) & LSR_THRE) {
			out8(COM1, byte);
			return 1;
		}
	}
	return 0;
}

__attribute__((weak)) void pvh_puts(const char *text)
{
	int serial = in8(COM1_LSR) != NOTHING;
	int debug = !serial || in8(DEBUG_PORT) == DEBUG_PORT;

	for (; *text; text++) {
		if (serial)
			serial = serial_put((uint8_t)*text);
		if (debug)
			out8(DEBUG_PORT, (uint8_t)*text);
	}
}

#endif /* CONFIG_PVH */
