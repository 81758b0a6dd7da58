/* SPDX-License-Identifier: MIT */
/* terminal.h - the operator's terminal in raw mode, and back on every way out */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

/* True if fd is a terminal whose foreground we are: one that we may read and set. */
bool terminal_is_ours(int fd);

/* Pass every key through.  One terminal a process.  Undone by terminal_restore(), which exit() and
 * fatal signals call too.  -errno of tcsetattr(3).
 */
int terminal_set_raw(int fd);

/* Safe to call twice, and from a signal handler. */
void terminal_restore(void);

#endif
