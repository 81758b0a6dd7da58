/* SPDX-License-Identifier: MIT */
/* stream.h - bytes into or out of a file that others may share, without ever waiting for them
 *
 * Standard files are shared with whoever gave them to us, who would notice an O_NONBLOCK set on
 * them.  To open the same pipe or terminal once more, through /proc/self/fd, makes a description of
 * our own, which may be non-blocking.  A socket is told with each call.  Where neither can be
 * (another user's pipe or terminal, no /proc), the kernel is asked for a call that does not wait
 * (RWF_NOWAIT: pipes, since Linux 6.4), and where it has none, a byte at a time is moved when
 * poll(2) says that it can be.  Of these ways the last alone leaves a gap: another process that
 * takes the same byte between the two calls.
 */
#ifndef UTIL_STREAM_H
#define UTIL_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum stream_kind {
	STREAM_NON_BLOCKING, /* the description is so, or the file never waits: a regular one */
	STREAM_SOCKET,       /* each call says so */
	STREAM_SHARED,       /* with others, who want it to block */
};

struct stream {
	int fd; /* -1: none */
	enum stream_kind kind;
	bool is_owned;  /* closed by stream_close() */
	bool is_device; /* a character device, maybe a terminal */
};

/* A descriptor of ours, opened with O_NONBLOCK, or -1.  Takes it over. */
struct stream stream_own(int fd);

/* A descriptor that was handed to us; `access` is O_RDONLY or O_WRONLY.  It stays as it is, and
 * must stay open.
 */
struct stream stream_share(int fd, int access);

void stream_close(struct stream *stream);

/* The number of bytes; -EAGAIN: none now; or -errno.  0 from a read is the end of the file. */
ssize_t stream_read(const struct stream *stream, void *data, size_t size);
ssize_t stream_write(const struct stream *stream, const void *data, size_t size);

#endif
