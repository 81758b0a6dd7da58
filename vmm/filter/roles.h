/* SPDX-License-Identifier: MIT */
/* roles.h - the roles that there are, once
 *
 *   ROLE(constant, word, rows)  FILTER_constant, the word that messages have for it, and whose rows
 *                               of calls.h are its calls (who.h)
 */

ROLE(VCPU, vcpu, VCPU)
ROLE(IO, io, IO)
ROLE(CONTROL, control, CONTROL)
ROLE(CONTROL_AGAIN, control_again,
	CONTROL | AGAIN) /* of a machine that may come back to its entry */
ROLE(CONTROL_SAVED, control_saved, CONTROL | SAVED) /* of one that may be saved */
ROLE(CONTROL_SAVED_AGAIN, control_saved_again, CONTROL | SAVED | AGAIN)
ROLE(WRITER, writer, WRITER)                  /* of RAM into a snapshot's file */
ROLE(PAGER, pager, PAGER)                     /* looks whether memory still comes (vm/pager.h) */
ROLE(OUTSIDE, outside, OUTSIDE)               /* a process (confine/outside.h) */
ROLE(OUTSIDE_JOB, outside_job, OUTSIDE | JOB) /* the same, with something to do */
ROLE(UNPACK, unpack, UNPACK)                  /* a process (image/apart.h) */
ROLE(API, api, API)                           /* a process (api/api.h) */
ROLE(FILES, files, FILES)                     /* a process (api/files.h) */
ROLE(MMDS, mmds, MMDS)                        /* a process (api/mmds.h) */
