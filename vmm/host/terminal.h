/* SPDX-License-Identifier: MIT */
/* terminal.h - the operator's terminal in raw mode, and back on every way out */
#ifndef HOST_TERMINAL_H
#define HOST_TERMINAL_H

#include <stdbool.h>

enum terminal {
	TERMINAL_NONE, /* it is none (or the far end of one, which is like a pipe) */
	TERMINAL_OURS, /* we are in its foreground, or it is nobody's controlling terminal for us */
	TERMINAL_OTHERS, /* our controlling terminal, with others in its foreground: to read it or
	                  * to set it is theirs
	                  */
};
enum terminal terminal_look(int fd);

/* Bring our process group into the foreground, if it is a background that nobody would ever bring
 * it back from: timeout(1), run by a script, makes a group of itself and its command.  (A shell
 * with job control, which makes groups and lends them the terminal, does not count, nor does a
 * script in its background.)  terminal_restore() gives the foreground back.  Whether it was done.
 */
bool terminal_take(int fd);

/* Pass every key through.  One terminal a process; may be called again, when others have had the
 * terminal meanwhile.  Undone by terminal_restore(), which exit() and fatal signals call too.
 * -errno of tcsetattr(3).
 */
int terminal_set_raw(int fd);

/* Safe to call twice, and from a signal handler. */
void terminal_restore(void);

/* Others have the terminal: there is nothing to restore any more. */
void terminal_forget(void);

/* Do what SIGTSTP does by default, although it is blocked: stop, until SIGCONT. */
void terminal_stop(void);

#endif
