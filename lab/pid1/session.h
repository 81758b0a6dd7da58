/* SPDX-License-Identifier: MIT */
/* session.h - one command in the lab, from its description to its end */
#ifndef SESSION_H
#define SESSION_H

#include "frame.h"

#include <sys/ioctl.h>

#define SESSION_MAX_STRINGS 8192

/* What the host asked for.  The strings are the session's own. */
struct request {
	char *directory;
	char *out; /* NULL: nothing shared */
	char *args[SESSION_MAX_STRINGS + 1];
	char *env[SESSION_MAX_STRINGS + 1];
	int n_args;
	int n_env;
	int on_terminal;
	struct winsize window;
};

/* Serve one session on PORT, whose host has just connected: collect the request, run it, report its
 * end.  Returns when the command and all its descendants are gone, or -EPIPE if the host went away.
 */
int session_serve(struct port *port);

/* In the command's process: a mount namespace of its own whose root is the host's files, read only,
 * under an overlay in memory.  The last process to leave takes it all away.  0, or -errno with
 * *WHAT naming the step that failed.
 */
int root_enter(const struct request *request, const char **what);

#endif
