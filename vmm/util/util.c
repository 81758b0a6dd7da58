// SPDX-License-Identifier: MIT
/* util.c - messages, reasons, and the end of a broken invariant */

#include "util/bits.h"
#include "util/diag.h"
#include "util/log.h"

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

int log_level_from_name(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(level_names); i++)
		if (!strcmp(name, level_names[i]))
			return (int)i;
	return -1;
}

void log_at(enum log_level level, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	if (level > log_level)
		return;
	n = snprintf(line, sizeof(line), "pronto: %s: ", level_names[level]);
	va_start(ap, fmt);
	n += vsnprintf(line + n, sizeof(line) - (size_t)n - 2, fmt, ap);
	va_end(ap);
	if (n > (int)sizeof(line) - 3)
		n = (int)sizeof(line) - 3;
	if (atomic_load_explicit(&log_raw, memory_order_relaxed))
		line[n++] = '\r';
	line[n++] = '\n';
	/* Nowhere to report that messages cannot be written. */
	(void)!write(STDERR_FILENO, line, (size_t)n);
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
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(diag->text, sizeof(diag->text), fmt, ap);
	va_end(ap);
	for (char *c = diag->text; *c; c++)
		if ((unsigned char)*c < 0x20 || *c == 0x7f)
			*c = '?';
	return -err;
}

void bug_abort(const char *file, int line, const char *func, const char *cond)
{
	log_error("bug at %s:%d in %s: %s; please report it", file, line, func, cond);
	abort();
}
