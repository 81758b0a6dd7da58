// SPDX-License-Identifier: GPL-2.0 OR MIT
/* console.c - output to whatever listens
 *
 * The serial port, if one answers.  Port 0xe9, if it reads back as 0xe9, as it does where somebody
 * listens, or under Xen, which shows on its own console what a guest writes there.  Xen's first
 * domain has neither, and a hypercall instead.
 */

#include "check.h"

#define LINE_STATUS  5
#define SCRATCH      7
#define THR_EMPTY    0x20
#define FIFO_CONTROL 2
#define FIFO_ON      1
#define FIFO_STATE   0xc0 /* of a read: both bits if there is a FIFO and it is on */
#define FIFO_SIZE    16
#define LINE_CONTROL 3
#define EIGHT_BITS   3

static bool to_serial, to_debugcon, to_xen;
static uint32_t fifo_size = 1, fifo_room;

static bool serial_answers(void)
{
	outb(COM1 + SCRATCH, 0x5a);
	if (inb(COM1 + SCRATCH) != 0x5a)
		return false;
	outb(COM1 + SCRATCH, 0xa5);
	return inb(COM1 + SCRATCH) == 0xa5;
}

void console_init(void)
{
	static const char greeting[] = "TAP version 13\n";

	to_xen = on_xen() && (handover.info.flags & 2);
	if (to_xen) {
		/* start.S has said this where it is not heard. */
		xen_console_write(greeting, sizeof(greeting) - 1);
		return;
	}
	to_serial = serial_answers();
	if (to_serial) {
		outb(COM1 + LINE_CONTROL, EIGHT_BITS);
		outb(COM1 + FIFO_CONTROL, FIFO_ON);
		if ((inb(COM1 + FIFO_CONTROL) & FIFO_STATE) == FIFO_STATE)
			fifo_size = FIFO_SIZE;
	}
	to_debugcon = on_xen() || inb(DEBUGCON) == DEBUGCON || !to_serial;
}

static void serial_write(char c)
{
	for (uint32_t i = 0; !fifo_room && i < SERIAL_PATIENCE; i++)
		if (inb(COM1 + LINE_STATUS) & THR_EMPTY)
			fifo_room = fifo_size;
	outb(COM1, (uint8_t)c);
	if (fifo_room)
		fifo_room--;
}

void console_write(const char *text, uint32_t size)
{
	if (to_xen)
		xen_console_write(text, size);
	for (uint32_t i = 0; i < size; i++) {
		if (to_serial)
			serial_write(text[i]);
		if (to_debugcon)
			outb(DEBUGCON, (uint8_t)text[i]);
	}
}
