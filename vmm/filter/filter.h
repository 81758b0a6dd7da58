/* SPDX-License-Identifier: MIT */
/* filter.h - what a thread may call from now on, by what it does
 *
 * calls.h is the table.  A module of its own, as those who need it stand far apart: image unpacks
 * what nobody trusts, confine has each thread of a machine keep to its role.
 */
#ifndef FILTER_FILTER_H
#define FILTER_FILTER_H

#include <stdbool.h>

/* What a thread does, or a process. */
enum filter {
#define ROLE(constant, word, rows) FILTER_##constant,
#include "filter/roles.h"
#undef ROLE
};

/* A sanitizer makes calls of its own, which are in no role. */
#ifdef PRONTO_INSTRUMENTED
#define FILTER_FITS false
#else
#define FILTER_FITS true
#endif

/* Whether this kernel has filters that end the process. */
bool filter_is_there(void);

/* From here on this thread, which has no_new_privs, makes the calls of `which`; any other ends the
 * process, or, if `traps`, is a SIGSYS that can be handled.  0 or -errno.
 */
int filter_install(enum filter which, bool traps);

#endif
