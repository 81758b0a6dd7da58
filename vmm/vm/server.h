/* SPDX-License-Identifier: MIT */
/* server.h - a process that has a machine's state ready, and machines begin with it as clients ask
 *
 * What is said at the socket is served.h's.
 */
#ifndef VM_SERVER_H
#define VM_SERVER_H

#include "util/listener.h"
#include "vm/warm.h"

/* Listen at `path`, which outlives it, for who may start machines: this process's user.  As
 * listener_open().
 */
int server_listen(struct listener *listener, const char *path);

/* All of them in a process that has one thread, by which the listener is closed afterwards. */

/* Fork a process for each client that comes, which is its machine, until SIGTERM or SIGINT comes.
 * The status that this process is to end with, be it the server's or a machine's.
 */
int server_run(struct warm *warm, struct listener *listener);

/* Be the machine of the first client that comes, which has to be soon; it is the only one, and the
 * listener is closed before.  Likewise.
 */
int server_run_once(struct warm *warm, struct listener *listener);

#endif
