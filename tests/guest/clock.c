// SPDX-License-Identifier: MIT
/* clock.c - the clock chip and the PM timer, without asking ACPI whether there are any (Hermit,
 * EDK2) */

#include "guest.h"

#define UPDATE_IN_PROGRESS 0x80

static uint8_t cmos(uint8_t index)
{
	outb(0x70, index);
	return inb(0x71);
}

/* By the data sheet: what is read while no update comes is of one second. */
static void read_all(uint8_t *to)
{
	static const uint8_t index[] = { 0x32, 9, 8, 7, 4, 2, 0 };

	while (cmos(0x0a) & UPDATE_IN_PROGRESS)
		cpu_relax();
	for (uint32_t i = 0; i < sizeof(index); i++)
		to[i] = cmos(index[i]);
}

void guest_main(void)
{
	uint8_t now[7], second;
	uint32_t ticks = inl(PM_TIMER);
	uint32_t n = 0;

	check_equal(cmos(0x0d), 0x80, "the clock says that it is valid");
	check_equal(cmos(0x0b) & 0x06, 0x02, "BCD, 24 hours");
	read_all(now);
	put("# time ");
	for (uint32_t i = 0; i < sizeof(now); i++) {
		put_char((char)('0' + (now[i] >> 4)));
		put_char((char)('0' + (now[i] & 15)));
	}
	put("\n");
	second = now[6];
	do {
		read_all(now);
		n++;
	} while (now[6] == second && n < 100000000u);
	check(now[6] != second, "it goes");
	check(inl(PM_TIMER) != ticks, "so does the PM timer");
	checks_done();
}
