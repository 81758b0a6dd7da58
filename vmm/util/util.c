// SPDX-License-Identifier: MIT
/* util.c - messages, reasons, and the end of a broken invariant */

#include "util/bits.h"
#include "util/diag.h"
#include "util/log.h"

#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static enum log_level log_level = LOG_LEVEL_WARN;
static atomic_bool log_raw;

static const char *const level_names[] = { "error", "warn", "info", "debug" };

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_raw(bool raw)
{
	atomic_store_explicit(&log_raw, raw, memory_order_relaxed);
}

/* Room for the longest path and what is said of it. */
#define TEXT_MAX (PATH_MAX + 1024)
#define ELLIPSIS " ... "

/* Copy what a person is to read.  A name in it must not look like a message of ours: control
 * characters become '?'.  Nor may it hide the reason, which comes last: what does not fit is left
 * out in the middle.
 */
static size_t copy_text(char *to, size_t size, const char *from)
{
	size_t n = strlen(from), head;

	if (n >= size) {
		head = (size - sizeof(ELLIPSIS)) / 2;
		memcpy(to, from, head);
		memcpy(to + head, ELLIPSIS, sizeof(ELLIPSIS) - 1);
		head += sizeof(ELLIPSIS) - 1;
		from += n - (size - 1 - head);
		n = size - 1;
		memcpy(to + head, from, n - head);
	} else {
		memcpy(to, from, n);
	}
	to[n] = '\0';
	for (char *c = to; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return n;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char text[TEXT_MAX], line[1024];
	va_list ap;
	size_t n;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	n = (size_t)snprintf(line, sizeof(line), "pronto: %s: ", level_names[level]);
	n += copy_text(line + n, sizeof(line) - n - 2, text);
	if (atomic_load_explicit(&log_raw, memory_order_relaxed))
		line[n++] = '\r';
	line[n++] = '\n';
	/* Nowhere to report that messages cannot be written. */
	(void)!write(STDERR_FILENO, line, n);
}

bool log_limit_ok(struct log_limit *limit)
{
	struct timespec ts;
	uint64_t now;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	now = (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
	if (limit->last_ms && now - limit->last_ms < 1000) {
		limit->n_dropped++;
		return false;
	}
	limit->last_ms = now;
	return true;
}

int diag_fail(struct diag *diag, int err, const char *fmt, ...)
{
	char text[TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	copy_text(diag->text, sizeof(diag->text), text);
	return -err;
}

void bug_abort(const char *file, int line, const char *func, const char *cond)
{
	log_error("bug at %s:%d in %s: %s; please report it", file, line, func, cond);
	abort();
}
