/* SPDX-License-Identifier: MIT */
/* mmds.h - a guest's metadata service, as Firecracker's MMDS (docs/mmds.md)
 *
 * It is a process of its own in network namespaces of its own, one for each network device of the
 * guest that reaches it.  In each there is a tap, whose other end the device has (dev/net_mmds.h),
 * and the host's TCP behind it: what a guest sends is read neither by the VMM nor by us.  The
 * process has given up all rights, opens nothing, and ends when we end.
 */
#ifndef API_MMDS_H
#define API_MMDS_H

#include "api/mmds_answer.h"
#include "api/mmds_wire.h"
#include "host/child.h"
#include "util/diag.h"

#include <netinet/in.h>

#define MMDS_DEFAULT_ADDRESS "169.254.169.254"

struct mmds {
	struct child child; /* its pidfd is readable when it has ended by itself */
	int control_fd;
	int tap_fd[MMDS_MAX_NETS]; /* -1: given away, or none */
	struct mmds_counters *counters;
};

/* Start it, with so many networks, and nothing to tell so far, without tokens.  The address is one
 * of 169.254/16 (-EINVAL).  The main thread.  -errno, diag: what the host lacks, and what to do
 * about it.
 */
int mmds_start(struct mmds *mmds, struct in_addr address, unsigned int n_nets, struct diag *diag);

/* Have it say what `store` has from now on, a copy: whatever a guest asks after this is answered
 * so. needs_token: version 2.  Does not wait.  -errno, diag: it has ended, or stands still.
 */
int mmds_update(const struct mmds *mmds, const struct mmds_store *store, bool needs_token,
	struct diag *diag);

/* End it, and close what has not been given away. */
void mmds_end(struct mmds *mmds);

#endif
