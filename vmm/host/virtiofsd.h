/* SPDX-License-Identifier: MIT */
/* virtiofsd.h - the daemon that serves a directory of the host to a guest
 *
 * Two programs go by this name: QEMU's, in C, that needs root (Debian 12: qemu-system-common), and
 * its successor in Rust (Debian 13: virtiofsd).  It is started for one connection, and ends when
 * that does: so with us, however we end.
 */
#ifndef HOST_VIRTIOFSD_H
#define HOST_VIRTIOFSD_H

#include "host/child.h"
#include "util/diag.h"

#include <stdbool.h>

/* Whether there is one that serves directories for us: 0, or -errno and what to do. */
int virtiofsd_check(struct diag *diag);

/* Start it for the directory; the connection to it, non-blocking, owned by the caller.  The main
 * thread, before there are others.  -errno and diag.
 */
int virtiofsd_start(struct child *child, const char *dir, bool read_only, struct diag *diag);

#endif
