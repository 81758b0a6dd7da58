// SPDX-License-Identifier: MIT
/* diag.c - reasons for a failure, and the end of a broken invariant */

#include "util/diag.h"

#include "util/bits.h"
#include "util/log.h"
#include "util/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int diag_fail(struct diag *diag, int err, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	text_fit(diag->text, sizeof(diag->text), text);
	return -err;
}

void bug_abort(const char *file, int line, const char *func, const char *cond)
{
	log_error("bug at %s:%d in %s: %s; please report it", file, line, func, cond);
	abort();
}
