/* SPDX-License-Identifier: MIT */
/* diag.h - the reason for a failure, carried up to whoever can name the file or option
 *
 * Parsers of untrusted input return -errno and leave one sentence here: what is wrong and what to
 * do about it.  The caller prefixes the file's or option's name.  Not shared between threads.
 */
#ifndef UTIL_DIAG_H
#define UTIL_DIAG_H

struct diag {
	char text[512];
};

/* Store the sentence, fit for a terminal (see text.h), the middle left out if it is too long, and
 * return -err.
 */
__attribute__((format(printf, 3, 4))) int diag_fail(
	struct diag *diag, int err, const char *fmt, ...);

#endif
