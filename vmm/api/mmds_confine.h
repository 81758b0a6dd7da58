/* SPDX-License-Identifier: MIT */
/* mmds_confine.h - what the metadata service gives up before it hears of a guest */
#ifndef API_MMDS_CONFINE_H
#define API_MMDS_CONFINE_H

#include "util/diag.h"

#include <sys/types.h>

/* Give up all rights and, if we are root, being root; leave of the system calls those that serving
 * needs (FILTER_MMDS), with which no file can be opened, no program started and no socket made; and
 * end when `parent` ends.  The calling process, which has one thread, for
 * good.  -errno, diag.
 */
int mmds_confine(pid_t parent, struct diag *diag);

#endif
