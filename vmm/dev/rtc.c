// SPDX-License-Identifier: MIT
/* rtc.c - the real-time clock of a PC */

#include "dev/rtc.h"

#include <stdbool.h>

#define PORT_INDEX 0
#define PORT_DATA  1

/* By index.  The alarm's are among the rest, which reads as 0. */
enum {
	REG_SECONDS = 0x00,
	REG_MINUTES = 0x02,
	REG_HOURS = 0x04,
	REG_WEEKDAY = 0x06,
	REG_DAY = 0x07,
	REG_MONTH = 0x08,
	REG_YEAR = 0x09,
	REG_A = 0x0a,
	REG_B = 0x0b,
	REG_D = 0x0d,
	REG_CENTURY = 0x32, /* not the chip's: where PCs keep it */
};

#define A_UPDATE_IN_PROGRESS 0x80
#define A_DIVIDER_AND_RATE   0x26 /* after reset: 32.768 kHz, 1024 Hz */
#define B_24_HOURS           0x02
#define B_BINARY             0x04
/* Set, daylight saving; no interrupts, no square wave. */
#define B_WRITABLE  (0x81 | B_24_HOURS | B_BINARY)
#define D_VALID     0x80
#define HOUR_PM     0x80
#define SECOND_NS   1000000000u
#define UIP_LEAD_NS 244000u /* so long before an update it is announced */

struct date {
	uint32_t year, month, day, weekday; /* month and day from 1, Sunday is 1 */
	uint32_t hours, minutes, seconds;
};

static bool is_leap(uint32_t year)
{
	return (year % 4 == 0 && year % 100) || year % 400 == 0;
}

static uint32_t days_in_month(uint32_t year, uint32_t month)
{
	static const uint8_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year) ? 1u : 0);
}

/* gmtime() would read the time zone's file on the guest's behalf. */
static struct date date_of(uint64_t seconds)
{
	uint32_t days = (uint32_t)(seconds / 86400), second = (uint32_t)(seconds % 86400);
	struct date date = {
		.year = 1970,
		.month = 1,
		.weekday = (days + 4) % 7 + 1, /* 1970 began on a Thursday */
		.hours = second / 3600,
		.minutes = second / 60 % 60,
		.seconds = second % 60,
	};

	for (; days >= 365u + is_leap(date.year); date.year++)
		days -= 365u + is_leap(date.year);
	for (; days >= days_in_month(date.year, date.month); date.month++)
		days -= days_in_month(date.year, date.month);
	date.day = days + 1;
	return date;
}

static uint8_t coded(const struct rtc *rtc, uint32_t value)
{
	if (rtc->reg_b & B_BINARY)
		return (uint8_t)value;
	return (uint8_t)(value / 10 << 4 | value % 10);
}

static uint8_t coded_hours(const struct rtc *rtc, uint32_t hours)
{
	if (rtc->reg_b & B_24_HOURS)
		return coded(rtc, hours);
	return coded(rtc, (hours + 11) % 12 + 1) | (hours >= 12 ? HOUR_PM : 0);
}

static uint8_t read_time(const struct rtc *rtc, uint64_t seconds)
{
	struct date date = date_of(seconds);

	switch (rtc->index) {
	case REG_SECONDS: return coded(rtc, date.seconds);
	case REG_MINUTES: return coded(rtc, date.minutes);
	case REG_HOURS: return coded_hours(rtc, date.hours);
	case REG_WEEKDAY: return coded(rtc, date.weekday);
	case REG_DAY: return coded(rtc, date.day);
	case REG_MONTH: return coded(rtc, date.month);
	case REG_YEAR: return coded(rtc, date.year % 100);
	default: return coded(rtc, date.year / 100);
	}
}

static uint8_t read_register(const struct rtc *rtc)
{
	uint64_t now = rtc->now(rtc->ctx);

	switch (rtc->index) {
	case REG_SECONDS:
	case REG_MINUTES:
	case REG_HOURS:
	case REG_WEEKDAY:
	case REG_DAY:
	case REG_MONTH:
	case REG_YEAR:
	case REG_CENTURY: return read_time(rtc, now / SECOND_NS);
	case REG_A:
		/* Who sees no update coming has the time to read all registers of one second. */
		return rtc->reg_a |
		       (now % SECOND_NS >= SECOND_NS - UIP_LEAD_NS ? A_UPDATE_IN_PROGRESS : 0);
	case REG_B: return rtc->reg_b;
	case REG_D: return D_VALID;
	default: return 0;
	}
}

/* The index cannot be read. */
static uint64_t rtc_read(struct device *dev, uint64_t offset, unsigned int)
{
	return offset == PORT_DATA ? read_register((struct rtc *)dev) : 0xff;
}

static void rtc_write(struct device *dev, uint64_t offset, unsigned int, uint64_t value)
{
	struct rtc *rtc = (struct rtc *)dev;

	if (offset == PORT_INDEX)
		rtc->index = value & 0x7f; /* the last bit masks NMIs, of which there are none */
	else if (rtc->index == REG_A)
		rtc->reg_a = value & (0xff ^ A_UPDATE_IN_PROGRESS);
	else if (rtc->index == REG_B)
		rtc->reg_b = value & B_WRITABLE;
}

static void rtc_reset(struct device *dev)
{
	struct rtc *rtc = (struct rtc *)dev;

	rtc->index = 0;
	rtc->reg_a = A_DIVIDER_AND_RATE;
	rtc->reg_b = B_24_HOURS;
}

static const struct device_ops rtc_ops = {
	.read = rtc_read,
	.write = rtc_write,
	.reset = rtc_reset,
};

void rtc_init(struct rtc *rtc, uint64_t (*now)(void *ctx), void *ctx)
{
	*rtc = (struct rtc){ .now = now, .ctx = ctx };
	device_init(&rtc->dev, "rtc", &rtc_ops);
	rtc_reset(&rtc->dev);
}

void rtc_fini(struct rtc *rtc)
{
	device_fini(&rtc->dev);
}

/* ---- a copy of it ---- */

static const struct state_field fields[] = {
	STATE_FIELD(struct rtc, index, 1),
	STATE_FIELD(struct rtc, reg_a, 1),
	STATE_FIELD(struct rtc, reg_b, 1),
	STATE_END,
};

const struct state_table rtc_state = { "rtc", 1, fields };

/* What a guest cannot have written is left out. */
int rtc_load(struct rtc *rtc, struct state_reader *reader, struct diag *diag)
{
	int ret = state_load(reader, &rtc_state, 0, rtc, diag);

	rtc->index &= 0x7f;
	rtc->reg_a &= 0xff ^ A_UPDATE_IN_PROGRESS;
	rtc->reg_b &= B_WRITABLE;
	return ret;
}
