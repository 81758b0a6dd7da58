/* SPDX-License-Identifier: MIT */
/* served.h - what `pronto clone` and `pronto serve` say to each other, over a unix stream socket
 *
 * The client sends its options and its standard files.  The process that was forked for it answers
 * with its number, is the machine, and sends its status as the last thing it does.  When the client
 * goes, the machine ends.
 */
#ifndef VM_SERVED_H
#define VM_SERVED_H

#include "util/diag.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SERVED_MAX_TEXT 65536 /* bytes of all options with their NULs */
#define SERVED_MAX_ARGS 256

struct served_request {
	int argc;
	char *argv[SERVED_MAX_ARGS + 1]; /* within text; argv[argc] is NULL */
	uint32_t number;
	char text[SERVED_MAX_TEXT];
};

/* The client's: argv[0] is a name, and the three standard files go with it.  -errno; -E2BIG: the
 * options are too long.
 */
int served_ask(int fd, int argc, char *const *argv, uint32_t number);

/* The server's child's: the request, whose files become its own standard files.  -errno; -EBADMSG.
 */
int served_take(int fd, struct served_request *request);

/* An answer, and receiving one: the number of the process, then its status.  -errno; -ECONNRESET:
 * there is no more.
 */
int served_tell(int fd, int32_t value);
int served_hear(int fd, int32_t *value);

/* Be the client of a machine that the server at `path` begins, in a process that has one thread and
 * nothing else to do: what would end it is passed on.  The machine's status; what went wrong is in
 * the log.
 */
int served_have_machine(const char *path, int argc, char *const *argv, uint32_t number);

#endif
