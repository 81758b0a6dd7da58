// SPDX-License-Identifier: MIT
/* text.c - what a terminal may be shown */

#include "util/text.h"

#include "util/bits.h"

#include <string.h>

/* Unicode's categories Cc, Cf, Zl and Zp, as far as a terminal or its font may act on them; and
 * what is no character.
 */
static const struct range {
	uint32_t first, last;
} unprintable[] = {
	{ 0x0000, 0x001f },   /* C0 */
	{ 0x007f, 0x009f },   /* DEL, C1 */
	{ 0x00ad, 0x00ad },   /* soft hyphen */
	{ 0x061c, 0x061c },   /* Arabic letter mark */
	{ 0x180e, 0x180e },   /* Mongolian vowel separator */
	{ 0x200b, 0x200f },   /* of no width; left-to-right and right-to-left marks */
	{ 0x2028, 0x202e },   /* line, paragraph; embeddings and overrides of direction */
	{ 0x2060, 0x206f },   /* invisible operators; isolates of direction */
	{ 0xd800, 0xdfff },   /* surrogates */
	{ 0xfdd0, 0xfdef },   /* no characters */
	{ 0xfeff, 0xfeff },   /* byte order mark */
	{ 0xfff0, 0xfffb },   /* annotations */
	{ 0xe0000, 0xe0fff }, /* tags */
};

static bool is_printable(uint32_t c)
{
	for (size_t i = 0; i < ARRAY_SIZE(unprintable); i++)
		if (c >= unprintable[i].first && c <= unprintable[i].last)
			return false;
	return c <= 0x10ffff && (c & 0xfffe) != 0xfffe;
}

size_t text_first(const char *text, bool *printable)
{
	/* The least code point of each size: what is coded longer than it need be is no UTF-8. */
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	const unsigned char *byte = (const unsigned char *)text;
	uint32_t c = byte[0];
	size_t size = c >> 5 == 0x6 ? 2 : c >> 4 == 0xe ? 3 : c >> 3 == 0x1e ? 4 : 0;

	*printable = c < 0x80 && is_printable(c);
	if (c < 0x80)
		return c != 0;
	c &= 0x7fu >> size;
	for (size_t i = 1; i < size; i++) {
		if (byte[i] >> 6 != 2) /* the end of the text included */
			return 1;
		c = c << 6 | (byte[i] & 0x3f);
	}
	if (!size || c < least[size])
		return 1;
	*printable = is_printable(c);
	return size;
}

size_t text_make_printable(char *text)
{
	const char *from = text;
	size_t n = 0, size;
	bool printable;

	for (; (size = text_first(from, &printable)); from += size) {
		if (printable) {
			memmove(text + n, from, size);
			n += size;
		} else {
			text[n++] = '?';
		}
	}
	text[n] = '\0';
	return n;
}

size_t text_fit(char *to, size_t size, const char *text)
{
	static const char ellipsis[] = " ... ";
	size_t n = strlen(text), head;

	if (n < size) {
		memcpy(to, text, n + 1);
	} else {
		head = (size - sizeof(ellipsis)) / 2;
		memcpy(to, text, head);
		memcpy(to + head, ellipsis, sizeof(ellipsis) - 1);
		head += sizeof(ellipsis) - 1;
		memcpy(to + head, text + n - (size - 1 - head), size - head);
	}
	/* After the cut, which may have gone through a character. */
	return text_make_printable(to);
}

void text_print(FILE *out, const char *text)
{
	bool printable;
	size_t size;

	for (; (size = text_first(text, &printable)); text += size) {
		if (printable)
			fwrite(text, 1, size, out);
		else
			fputc('?', out);
	}
}
