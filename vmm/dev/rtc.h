/* SPDX-License-Identifier: MIT */
/* rtc.h - the real-time clock of a PC: it tells the time, in UTC
 *
 * Source: Motorola MC146818A data sheet.  Time and date are the host's, and not the guest's to set;
 * of the alarm, of interrupts and of battery-backed memory there is nothing.  ACPI says that there
 * is no such clock: it is for guests that do not ask.
 */
#ifndef DEV_RTC_H
#define DEV_RTC_H

#include "bus/bus.h"
#include "state/state.h"

struct rtc {
	struct device dev; /* at PLATFORM_RTC_PORT, 2 bytes: index, data */
	/* Nanoseconds since 1970, UTC.  Called with the device's lock held. */
	uint64_t (*now)(void *ctx);
	void *ctx;
	uint8_t index;
	uint8_t reg_a, reg_b;
};

void rtc_init(struct rtc *rtc, uint64_t (*now)(void *ctx), void *ctx);
void rtc_fini(struct rtc *rtc);

/* What a copy of the machine begins with; and have one that was just made be so.  -errno, diag. */
extern const struct state_table rtc_state;
int rtc_load(struct rtc *rtc, struct state_reader *reader, struct diag *diag);

#endif
