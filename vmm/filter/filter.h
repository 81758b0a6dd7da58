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
	FILTER_VCPU,
	FILTER_IO,
	FILTER_CONTROL,
	FILTER_CONTROL_AGAIN, /* of a machine that may come back to its entry */
	FILTER_CONTROL_SAVED, /* of one that may be saved */
	FILTER_CONTROL_SAVED_AGAIN,
	FILTER_WRITER,      /* of RAM into a snapshot's file */
	FILTER_PAGER,       /* looks whether memory still comes (vm/pager.h) */
	FILTER_OUTSIDE,     /* a process (confine/outside.h) */
	FILTER_OUTSIDE_JOB, /* the same, with something to do */
	FILTER_UNPACK,      /* a process (image/apart.h) */
};

/* Whether this kernel has filters that end the process. */
bool filter_is_there(void);

/* From here on this thread, which has no_new_privs, makes the calls of `which`; any other ends the
 * process, or, if `traps`, is a SIGSYS that can be handled.  0 or -errno.
 */
int filter_install(enum filter which, bool traps);

#endif
