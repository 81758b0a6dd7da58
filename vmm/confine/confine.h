/* SPDX-License-Identifier: MIT */
/* confine.h - what a process gives up before its guest runs, stage by stage
 *
 * 1. confine_enter(): the settings are known, and nothing has been opened.  Of the descriptors that
 *    the process was started with it keeps those that are named; it leaves no core file, and nobody
 *    of the same user may look into its memory.
 * 2. confine_settle(): the programs that work for the machine have been started.  From here on no
 *    program that it could become gives it rights, and it can raise no limit of open files.
 *
 * docs/confinement.md has the reasons.  All of this is the main thread's, before there are others.
 */
#ifndef CONFINE_CONFINE_H
#define CONFINE_CONFINE_H

#include "config/config.h"

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

#endif
