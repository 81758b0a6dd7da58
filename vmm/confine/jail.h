/* SPDX-License-Identifier: MIT */
/* jail.h - what only root can give up: to be root, and to see the host's files
 *
 * A machine's process (--jail) goes in by two steps around the opening of what its settings name:
 * jail_enter() before, jail_close() after it, with nothing in its root.  The program jailer
 * (cmd_jailer.c) has all of another program's life in a root with files, and is made of the parts.
 *
 * All are the main thread's.  What fails is -errno, and diag says what, and what to do.
 */
#ifndef CONFINE_JAIL_H
#define CONFINE_JAIL_H

#include "config/config.h"
#include "util/diag.h"

/* Nothing has been opened yet: go into the cgroup and the network namespace. */
int jail_enter(const struct jail_config *jail, struct diag *diag);

/* All is open: limits, an empty root that nobody can write to, and the other user.  For good. */
int jail_close(const struct jail_config *jail, struct diag *diag);

/* ---- the parts ---- */

/* Whether we are root; -EPERM. */
int jail_may(struct diag *diag);

int jail_join_net(const char *path, struct diag *diag);

/* So many files open, and such long ones written, at most; 0: as it is. */
int jail_limit(uint32_t n_files, uint64_t file_size, struct diag *diag);

/* Have a mount namespace of our own.  Descriptors that are open are of the old one. */
int jail_leave_mounts(struct diag *diag);

/* Have the directory, which was opened since then, as root; all that is mounted elsewhere is gone.
 */
int jail_change_root(int dir_fd, struct diag *diag);

/* Become this user, with no other group and no right of root's, nor any by a program. */
int jail_become(uint32_t uid, uint32_t gid, struct diag *diag);

#endif
