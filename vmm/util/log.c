// SPDX-License-Identifier: MIT
/* log.c - messages to people, on standard error */

#include "util/log.h"

#include "util/bits.h"
#include "util/stream.h"
#include "util/text.h"
#include "util/timeline.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define FINISH_MS 1000

static enum log_level log_level = LOG_LEVEL_WARN;
static atomic_bool log_raw;
static char log_name[64 + 1 + 16 + 1]; /* NAME:PART; "": messages are Pronto's own */
static bool log_with_level;            /* after the name */

/* What standard error would not take yet.  The lock is a leaf, and nobody waits under it. */
static struct {
	pthread_mutex_t lock;
	struct stream stream;
	bool to_open;
	size_t n;
	uint64_t n_lost; /* messages that found no room here */
	char text[LOG_KEPT];
} kept = { .lock = PTHREAD_MUTEX_INITIALIZER,
	.stream = { .fd = STDERR_FILENO, .kind = STREAM_SHARED } };

static const char *const level_names[] = { "error", "warn", "info", "debug" };
static const char *const upper_names[] = { "ERROR", "WARN", "INFO", "DEBUG" };

void log_set_level(enum log_level level)
{
	log_level = level;
}

void log_set_raw(bool raw)
{
	atomic_store_explicit(&log_raw, raw, memory_order_relaxed);
}

/* ---- what is written, and what is kept ---- */

/* Those below are called with the lock held. */

static void keep(const char *line, size_t size)
{
	if (size > sizeof(kept.text) - kept.n) {
		kept.n_lost++;
		return;
	}
	memcpy(kept.text + kept.n, line, size);
	kept.n += size;
}

static void flush(void)
{
	while (kept.n) {
		ssize_t n = stream_write(&kept.stream, kept.text, kept.n);

		if (n == 0 || n == -EAGAIN)
			return;
		/* Nowhere to report that messages cannot be written. */
		if (n < 0)
			n = (ssize_t)kept.n;
		kept.n -= (size_t)n;
		memmove(kept.text, kept.text + n, kept.n);
	}
}

static size_t end_line(char *line, size_t n)
{
	if (atomic_load_explicit(&log_raw, memory_order_relaxed))
		line[n++] = '\r';
	line[n++] = '\n';
	return n;
}

/* All that was kept is written: say how much was not. */
static void tell_lost(void)
{
	char line[128];
	int n;

	if (kept.n || !kept.n_lost)
		return;
	n = snprintf(line, sizeof(line) - 2,
		"pronto: warn: nobody read standard error; %llu messages were dropped",
		(unsigned long long)kept.n_lost);
	kept.n_lost = 0;
	keep(line, end_line(line, (size_t)n));
	flush();
}

static void put_line(const char *line, size_t size)
{
	pthread_mutex_lock(&kept.lock);
	if (kept.to_open)
		kept.stream = stream_share(STDERR_FILENO, O_WRONLY);
	kept.to_open = false;
	flush();
	tell_lost();
	keep(line, size);
	flush();
	pthread_mutex_unlock(&kept.lock);
}

void log_open(void)
{
	stream_close(&kept.stream);
	kept.to_open = true;
}

void log_begin_anew(void)
{
	kept.n = 0;
	kept.n_lost = 0;
	log_name[0] = 0;
	log_set_level(LOG_LEVEL_WARN);
	log_open();
}

void log_prepare(void)
{
	pthread_mutex_lock(&kept.lock);
	if (kept.to_open)
		kept.stream = stream_share(STDERR_FILENO, O_WRONLY);
	kept.to_open = false;
	pthread_mutex_unlock(&kept.lock);
	if (log_name[0])
		tzset();
}

int log_use(int fd)
{
	if (dup2(fd, STDERR_FILENO) < 0)
		return -errno;
	log_open();
	return 0;
}

void log_set_name(const char *name, const char *part, bool with_level)
{
	snprintf(log_name, sizeof(log_name), "%.64s:%.16s", name, part);
	log_with_level = with_level;
}

void log_finish(void)
{
	struct pollfd ready = { .fd = kept.stream.fd, .events = POLLOUT };
	uint64_t end_ms = timeline_now_ms() + FINISH_MS, now;

	pthread_mutex_lock(&kept.lock);
	for (;;) {
		flush();
		tell_lost();
		now = timeline_now_ms();
		if (!kept.n || now >= end_ms)
			break;
		poll(&ready, 1, (int)(end_ms - now));
	}
	pthread_mutex_unlock(&kept.lock);
}

/* ---- messages ---- */

/* What stands before a message; level -1: it has none. */
static size_t begin_line(char line[256], int level)
{
	struct timespec now;
	struct tm tm;
	size_t n;

	if (!log_name[0])
		return (size_t)snprintf(line, 256, "pronto: %s%s",
			level < 0 ? "" : level_names[level], level < 0 ? "" : ": ");
	clock_gettime(CLOCK_REALTIME, &now);
	gmtime_r(&now.tv_sec, &tm);
	n = strftime(line, 256, "%Y-%m-%dT%H:%M:%S", &tm);
	return n + (size_t)snprintf(line + n, 256 - n, ".%09ld [%s%s%s] ", now.tv_nsec, log_name,
			   log_with_level ? ":" : "",
			   log_with_level ? upper_names[level < 0 ? LOG_LEVEL_INFO : level] : "");
}

static void put_message(int level, const char *fmt, va_list ap)
{
	char text[TEXT_MAX], line[1024];
	size_t n = begin_line(line, level);

	vsnprintf(text, sizeof(text), fmt, ap);
	n += text_fit(line + n, sizeof(line) - n - 2, text);
	put_line(line, end_line(line, n));
}

void log_at(enum log_level level, const char *fmt, ...)
{
	va_list ap;

	if (level > log_level)
		return;
	va_start(ap, fmt);
	put_message((int)level, fmt, ap);
	va_end(ap);
}

void log_say(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_message(-1, fmt, ap);
	va_end(ap);
}

bool log_limit_ok(struct log_limit *limit)
{
	uint64_t now = timeline_now_ms();

	if (limit->last_ms && now - limit->last_ms < 1000)
		return false;
	limit->last_ms = now;
	return true;
}
