/* SPDX-License-Identifier: MIT */
/* confine.h - what a process gives up before its guest runs, stage by stage
 *
 * 1. confine_enter(): the settings are known, and nothing has been opened.  Of the descriptors that
 *    the process was started with it keeps those that are named; it leaves no core file, and nobody
 *    of the same user may look into its memory.
 * 2. confine_settle(): the programs that work for the machine have been started.  From here on no
 *    program that it could become gives it rights, and it can raise no limit of open files.
 * 3. confine_close_in(): all is open, and there are no threads yet.  It gives up the file system,
 * and root's rights.
 * 4. confine_thread(): each thread, right before it serves the guest, gives up all system calls
 *    but those of its role.
 *
 * Between 2 and 3 a process of root's may go into a jail (jail.h).
 *
 * docs/confinement.md has the reasons.  All but the last is the main thread's, before there are
 * others.
 */
#ifndef CONFINE_CONFINE_H
#define CONFINE_CONFINE_H

#include "config/config.h"
#include "filter/filter.h"

#include <stdbool.h>
#include <stddef.h>

/* Descriptors that the process was started with and is to keep. */
#define CONFINE_MAX_KEPT 64
struct confine_kept {
	int fd[CONFINE_MAX_KEPT];
	size_t n;
};

/* Keep this one, too; the standard files are kept in any case.  One for which there is no room is
 * not kept.
 */
void confine_keep(struct confine_kept *kept, int fd);

/* Keep those that are named as files by a command's arguments: /dev/fd/N, /proc/self/fd/N. */
void confine_keep_words(struct confine_kept *kept, int argc, char *const *argv);

/* All but these and standard files. */
void confine_close_others(struct confine_kept *kept);

/* Stage 1.  What cannot be is a warning, and the process goes on: only an old kernel, or a filter
 * that it is in already, is in its way.
 */
void confine_enter(struct confine_kept *kept);

/* The same as far as the settings want it, whose descriptors are kept, and those that we have open
 * already (NULL: none).
 */
void confine_enter_as(const struct config *config, const struct confine_kept *ours);

/* Stage 2. */
void confine_settle(void);

/* From here on no thread of another process runs at the same time on a core on which one of this
 * process does, where a core has several (hyper-threading): neither sees what the other leaves in
 * what they share.  Threads and children that are made later are of it, too.  0, or -errno and
 * diag: this kernel has no core scheduling.
 *
 * Source: Documentation/admin-guide/hw-vuln/core-scheduling.rst.
 */
int confine_own_cores(struct diag *diag);

/* Whether it could be here: 1; 0: no core has two threads, and so it is; -errno: it cannot. */
int confine_can_own_cores(void);

/* What stays of root's rights. */
enum confine_rights {
	CONFINE_NO_RIGHTS,
	CONFINE_MAY_SIGNAL, /* a machine that a jail has made another user's */
};

/* Stage 3, after stage 2.  0, or -errno and diag: what this host lacks.  What it has has been done.
 */
int confine_close_in(enum confine_rights rights, struct diag *diag);

/* Of this, root's rights alone: 0, or -errno. */
int confine_drop_rights(enum confine_rights rights);

/* Landlock's version (ABI) here; 0: there is none. */
int confine_landlock_version(void);

/* Stage 4, by each thread for itself, after confine_settle(): from here on it makes the calls of
 * its role, and any other ends the process.  `tells`: after confine_tell(), with a message that
 * names role and call.  A kernel that has filters and refuses this one ends the process, too.
 */
void confine_thread(enum filter role, bool tells);

/* Have a call that is refused told on standard error before it ends the process.  Once, before
 * there are threads with a role.
 */
void confine_tell(void);

#endif
