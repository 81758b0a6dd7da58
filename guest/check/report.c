// SPDX-License-Identifier: GPL-2.0 OR MIT
/* report.c - checks become lines of TAP */

#include "check.h"

#include <stdarg.h>

struct text {
	char bytes[512];
	uint32_t size;
};

static struct text details;
static uint32_t n_done, n_failed;

static void put(struct text *text, char c)
{
	if (text->size < sizeof(text->bytes))
		text->bytes[text->size++] = c;
}

static void put_number(struct text *text, uint64_t value, uint32_t base)
{
	char digits[20];
	uint32_t n = 0;

	/* No division of 64 bits here: sixteen is a shift, and decimal numbers have 32. */
	do {
		uint32_t digit = base == 16 ? (uint32_t)value & 15 : (uint32_t)value % 10;

		value = base == 16 ? value >> 4 : (uint32_t)value / 10;
		digits[n++] = "0123456789abcdef"[digit];
	} while (value);
	while (n)
		put(text, digits[--n]);
}

static void put_text(struct text *text, const char *s)
{
	while (*s)
		put(text, *s++);
}

static void put_format(struct text *text, const char *format, va_list args)
{
	for (; *format; format++) {
		if (*format != '%') {
			put(text, *format);
			continue;
		}
		switch (*++format) {
		case 's': put_text(text, va_arg(args, const char *)); break;
		case 'c': put(text, (char)va_arg(args, int)); break;
		case 'u': put_number(text, va_arg(args, uint32_t), 10); break;
		case 'x':
			put_text(text, "0x");
			put_number(text, va_arg(args, uint32_t), 16);
			break;
		default: /* llx */
			put_text(text, "0x");
			put_number(text, va_arg(args, uint64_t), 16);
			format += 2;
		}
	}
}

void detail(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	put_format(&details, format, args);
	va_end(args);
}

void print(const char *format, ...)
{
	struct text line = { .size = 0 };
	va_list args;

	va_start(args, format);
	put_format(&line, format, args);
	va_end(args);
	console_write(line.bytes, line.size);
}

enum verdict verdict(bool ok, const char *why_not)
{
	return ok ? PASS : fail(why_not);
}

enum verdict fail(const char *why)
{
	detail("%s", why);
	return FAIL;
}

enum verdict skip(const char *why)
{
	detail("%s", why);
	return SKIP;
}

static void report(const struct check *check, enum verdict result)
{
	const char *level = check->relied_on_by ? "SHOULD" : "MUST";
	const char *who = check->relied_on_by ? check->relied_on_by : "";

	print("%sok %u - %s %s (%s%s%s)", result == FAIL ? "not " : "", ++n_done, level,
		check->what, check->source ? check->source : "", check->source && *who ? "; " : "",
		who);
	put(&details, '\0');
	details.bytes[sizeof(details.bytes) - 1] = '\0';
	if (result == SKIP)
		print(" # SKIP %s\n", details.bytes);
	else if (result == FAIL && check->relied_on_by)
		print(" # TODO SHOULD: %s\n# %s\n", check->relied_on_by, details.bytes);
	else if (result == FAIL)
		print("\n# %s\n", details.bytes);
	else
		print("\n");
	if (result == FAIL && !check->relied_on_by)
		n_failed++;
}

void report_run(const struct checks *checks)
{
	for (uint32_t i = 0; i < checks->n; i++) {
		const struct check *check = &checks->rows[i];
		const char *lack = check->lacks ? check->lacks() : NULL;

		details.size = 0;
		report(check, lack ? skip(lack) : check->run());
	}
}

bool report_all_well(void)
{
	return !n_failed;
}
