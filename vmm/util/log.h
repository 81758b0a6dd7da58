/* SPDX-License-Identifier: MIT */
/* log.h - messages to people, on standard error
 *
 * A message names the thing, what is wrong and what to do, on one line without a full stop.  Any
 * thread; each message is one write(2).  Nobody waits for who reads standard error: what it does
 * not take is kept for the next message or the end, LOG_KEPT bytes of it, and what has no room
 * there is counted, and the count told.
 */
#ifndef UTIL_LOG_H
#define UTIL_LOG_H

#include <stdbool.h>
#include <stdint.h>

#define LOG_KEPT 16384

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* While there is one thread: standard error is what it is now.  To write to it without waiting,
 * wherever it goes (see stream.h), it is opened anew with the first message.
 */
void log_open(void);

/* In a process that was forked from one with threads: its messages are Pronto's own, and what its
 * parent has kept is for that one to tell.
 */
void log_begin_anew(void);

/* Open it now: from here on no message opens a file, or asks for the time zone. */
void log_prepare(void);

/* While there is one thread: from now on messages go to this file, which stays the caller's; it is
 * standard error then.  -errno.
 */
int log_use(int fd);

/* While there is one thread: each message begins with the time, this name, that of the part of the
 * program it comes from, and, if it is wanted, its level, as Firecracker's do.  64 and 16 bytes.
 */
void log_set_name(const char *name, const char *part, bool with_level);

/* At the end, when there is one thread: write what is kept, for a second at most. */
void log_finish(void);

/* Messages above this level are dropped.  Set once, before threads start.  Default: warn. */
void log_set_level(enum log_level level);

/* The terminal is in raw mode: end lines with CR LF. */
void log_set_raw(bool raw);

__attribute__((format(printf, 2, 3))) void log_at(enum log_level level, const char *fmt, ...);

/* What was asked for, whatever the level. */
__attribute__((format(printf, 1, 2))) void log_say(const char *fmt, ...);

#define log_error(...) log_at(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...)  log_at(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...)  log_at(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_at(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* For messages that a guest can provoke: true for the first of each second, false otherwise.
 * Zero-initialised; guarded by whatever guards its owner.
 */
struct log_limit {
	uint64_t last_ms;
};
bool log_limit_ok(struct log_limit *limit);

#endif
