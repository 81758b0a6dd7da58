// SPDX-License-Identifier: MIT
/* test_rtc.c - the real-time clock tells the time, and nothing else */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "dev/rtc.h"

#include <stdlib.h>
#include <time.h>

#define SECOND 1000000000ull

static struct rtc rtc;
static uint64_t now_ns;

static uint64_t now(void *ctx)
{
	assert_ptr_equal(ctx, &rtc);
	return now_ns;
}

static int set_up(void **)
{
	rtc_init(&rtc, now, &rtc);
	now_ns = 0;
	return 0;
}

static int tear_down(void **)
{
	rtc_fini(&rtc);
	return 0;
}

static uint8_t get(uint8_t index)
{
	rtc.dev.ops->write(&rtc.dev, 0, 1, index);
	return (uint8_t)rtc.dev.ops->read(&rtc.dev, 1, 1);
}

static void set(uint8_t index, uint8_t value)
{
	rtc.dev.ops->write(&rtc.dev, 0, 1, index);
	rtc.dev.ops->write(&rtc.dev, 1, 1, value);
}

static unsigned int bcd(uint8_t value)
{
	assert_true((value & 15) < 10 && value >> 4 < 10);
	return (value >> 4) * 10u + (value & 15);
}

/* 2026-11-25 09:08:07, a Wednesday */
#define WEDNESDAY 1795597687ull

static void test_bcd(void **)
{
	now_ns = WEDNESDAY * SECOND;
	assert_int_equal(get(0x0b), 0x02);
	assert_int_equal(get(0x00), 0x07);
	assert_int_equal(get(0x02), 0x08);
	assert_int_equal(get(0x04), 0x09);
	assert_int_equal(get(0x06), 0x04);
	assert_int_equal(get(0x07), 0x25);
	assert_int_equal(get(0x08), 0x11);
	assert_int_equal(get(0x09), 0x26);
	assert_int_equal(get(0x32), 0x20);
	assert_int_equal(get(0x0d), 0x80);
	assert_int_equal(get(0x80 | 0x02), 0x08); /* NMIs masked */
}

static void test_binary(void **)
{
	now_ns = WEDNESDAY * SECOND;
	set(0x0b, 0x06);
	assert_int_equal(get(0x07), 25);
	assert_int_equal(get(0x08), 11);
	assert_int_equal(get(0x09), 26);
	assert_int_equal(get(0x32), 20);
}

/* All hours: 12 AM, 1 AM to 11 AM, 12 PM, 1 PM to 11 PM. */
static void test_twelve_hours(void **)
{
	for (unsigned int hour = 0; hour < 24; hour++) {
		uint8_t pm = hour >= 12 ? 0x80 : 0;
		unsigned int shown = hour % 12 ? hour % 12 : 12;

		now_ns = hour * 3600 * SECOND;
		set(0x0b, 0x04);
		assert_int_equal(get(0x04), shown | pm);
		set(0x0b, 0x00);
		assert_int_equal(bcd(get(0x04) & 0x7f), shown);
		assert_int_equal(get(0x04) & 0x80, pm);
		set(0x0b, 0x06);
		assert_int_equal(get(0x04), hour);
	}
}

static void assert_date(time_t seconds)
{
	struct tm tm;

	now_ns = (uint64_t)seconds * SECOND;
	gmtime_r(&seconds, &tm);
	assert_int_equal(get(0x00), tm.tm_sec);
	assert_int_equal(get(0x02), tm.tm_min);
	assert_int_equal(get(0x04), tm.tm_hour);
	assert_int_equal(get(0x06), tm.tm_wday + 1);
	assert_int_equal(get(0x07), tm.tm_mday);
	assert_int_equal(get(0x08), tm.tm_mon + 1);
	assert_int_equal(get(0x32) * 100 + get(0x09), tm.tm_year + 1900);
}

/* The C library's calendar, over every change of a day from 1970 to 2106, and the last second. */
static void test_calendar(void **)
{
	set(0x0b, 0x06);
	for (time_t day = 86400; day < (time_t)1 << 32; day += 86400) {
		assert_date(day - 1);
		assert_date(day);
	}
	assert_date(UINT64_MAX / SECOND);
}

/* An update is announced 244 us before, so that what is read then is all of one second. */
static void test_update_in_progress(void **)
{
	static const struct {
		uint64_t ns;
		uint8_t a;
	} cases[] = { { 0, 0x26 }, { 500000000, 0x26 }, { 999755999, 0x26 }, { 999756000, 0xa6 },
		{ 999999999, 0xa6 }, { SECOND, 0x26 } };

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		now_ns = WEDNESDAY * SECOND + cases[i].ns;
		assert_int_equal(get(0x0a), cases[i].a);
	}
	set(0x0a, 0xff);
	now_ns = 0;
	assert_int_equal(get(0x0a), 0x7f);
}

/* The time is not the guest's to set; interrupts there are none; the rest is not there. */
static void test_what_cannot_be_written(void **)
{
	now_ns = WEDNESDAY * SECOND;
	set(0x0b, 0xff);
	assert_int_equal(get(0x0b), 0x87);
	for (unsigned int index = 0; index < 128; index++)
		if (index != 0x0b)
			set((uint8_t)index, 0x55);
	assert_int_equal(get(0x00), 7);
	assert_int_equal(get(0x32), 20);
	assert_int_equal(get(0x0c), 0);
	assert_int_equal(get(0x0d), 0x80);
	for (unsigned int index = 0x0e; index < 128; index++)
		if (index != 0x32)
			assert_int_equal(get((uint8_t)index), 0);
}

static void test_wild_access(void **)
{
	for (unsigned int i = 0; i < 100000; i++) {
		uint64_t value = (uint64_t)rand() << 32 | (uint64_t)rand();

		now_ns = (uint64_t)rand() << 33 | value;
		rtc.dev.ops->write(&rtc.dev, value & 1, 1u << (value >> 8 & 3), value);
		assert_true(
			rtc.dev.ops->read(&rtc.dev, value >> 1 & 1, 1u << (value >> 10 & 3)) < 256);
	}
	assert_int_equal(rtc.dev.ops->read(&rtc.dev, 0, 1), 0xff);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	static const struct CMUnitTest tests[] = {
		TEST(test_bcd),
		TEST(test_binary),
		TEST(test_twelve_hours),
		TEST(test_calendar),
		TEST(test_update_in_progress),
		TEST(test_what_cannot_be_written),
		TEST(test_wild_access),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
