// SPDX-License-Identifier: MIT
/* size.c - sizes as people write them */

#include "util/size.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

static const char units[] = "KMGT";

/* So many digits after the point that with the largest unit nothing overflows. */
#define MAX_FRACTION 7

/* Decimal digits only: strtoull() would take signs, blanks and hexadecimal too. */
static bool parse_digits(const char **text, uint64_t *value)
{
	const char *c = *text;

	for (*value = 0; *c >= '0' && *c <= '9'; c++)
		if (__builtin_mul_overflow(*value, 10, value) ||
			__builtin_add_overflow(*value, (uint64_t)(*c - '0'), value))
			return false;
	if (c == *text)
		return false;
	*text = c;
	return true;
}

/* ".5" as 5 of 10. */
static bool parse_fraction(const char **text, uint64_t *part, uint64_t *whole)
{
	const char *first = *text + 1;

	*part = 0;
	*whole = 1;
	if (**text != '.')
		return true;
	*text = first;
	if (!parse_digits(text, part) || *text - first > MAX_FRACTION)
		return false;
	for (const char *c = first; c < *text; c++)
		*whole *= 10;
	return true;
}

/* "", "B", "K", "KB" or "KiB", and nothing behind it. */
static bool parse_unit(const char *text, uint64_t *unit)
{
	const char *letter = NULL;

	for (const char *c = units; *text && *c; c++)
		if (!strncasecmp(c, text, 1))
			letter = c;
	*unit = 1;
	if (letter) {
		*unit = UINT64_C(1024) << 10 * (letter - units);
		text++;
	}
	return !*text || !strcasecmp(text, "b") || (letter && !strcasecmp(text, "ib"));
}

bool size_parse(const char *text, uint64_t *size)
{
	uint64_t part, whole, unit;

	if (!parse_digits(&text, size) || !parse_fraction(&text, &part, &whole) ||
		!parse_unit(text, &unit) || (whole > 1 && unit == 1))
		return false;
	return !__builtin_mul_overflow(*size, unit, size) &&
	       !__builtin_add_overflow(*size, unit * part / whole, size);
}

void size_print(char text[SIZE_TEXT], uint64_t size)
{
	const char *unit = "";

	for (const char *next = units; size && size % 1024 == 0 && *next; next++) {
		size /= 1024;
		unit = next;
	}
	snprintf(text, SIZE_TEXT, "%" PRIu64 "%.1s", size, unit);
}
