/* SPDX-License-Identifier: MIT */
/* text.h - what a terminal may be shown
 *
 * A path, a kernel's version, a word of a configuration are other people's text.  What of it is not
 * well-formed UTF-8, or would do something instead of being seen, never reaches a terminal:
 * controls (C0, DEL, C1), line and paragraph separators, marks of direction and of nothing, tags,
 * and what Unicode says is no character.
 */
#ifndef UTIL_TEXT_H
#define UTIL_TEXT_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* The size in bytes of the one character that text begins with; *printable says whether it may be
 * shown.  A byte that belongs to no character is one of size 1 that may not.  0 at the end.
 */
size_t text_first(const char *text, bool *printable);

/* Room for the longest path and what is said of it. */
#define TEXT_MAX (PATH_MAX + 1024)

/* Make each character that may not be shown a '?'; the length after. */
size_t text_make_printable(char *text);

/* Copy it so into `size` bytes (64 at least); the length.  What does not fit is left out in the
 * middle: the reason, which comes last, is what a name must not hide.
 */
size_t text_fit(char *to, size_t size, const char *text);

/* Print it so, `text` unchanged. */
void text_print(FILE *out, const char *text);

#endif
