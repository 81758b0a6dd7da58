/* SPDX-License-Identifier: MIT */
/* console_door.h - a console at a Unix socket: who comes, who leaves, one at a time
 *
 * Within host/console*.c.  A client is there until it has closed its end and what it sent has been
 * taken; or, if the guest takes nothing, until the next one comes.  Who comes while another is
 * there is turned away at once.
 */
#ifndef HOST_CONSOLE_DOOR_H
#define HOST_CONSOLE_DOOR_H

#include "host/console.h"

/* Listen at the path of `spec`, for a console without streams.  A socket that nobody listens at any
 * more is replaced.  0, or -errno and diag.
 */
int door_open(struct console *console, const struct console_spec *spec, struct diag *diag);

/* The rest does nothing for a console that has no door. */

/* 0 or -errno. */
int door_attach(struct console *console, struct loop *loop, pthread_mutex_t *lock);
void door_detach(struct console *console);

/* The file is removed, if it is still ours. */
void door_close(struct console *console);

#endif
