/* SPDX-License-Identifier: MIT */
/* agent.h - the VMM's end of the link: a machine that does what the API's process asks of it */
#ifndef API_AGENT_H
#define API_AGENT_H

#include "config/config.h"
#include "vm/snapshot.h"

#include <stdbool.h>
#include <stdint.h>

/* Of a machine that goes on from a snapshot. */
struct agent_snapshot {
	struct snapshot *snapshot; /* its memory is not open yet */
	const char *path;          /* as of snapshot_open_memory() */
	bool begins_paused;
};

/* Start a machine with these settings and see it to its end, in this process; `link_fd` is to the
 * API's, whose end ends the machine.  `from` NULL: it begins at its entry.  The exit status.
 */
int agent_run(const struct config *config, const struct agent_snapshot *from, int link_fd,
	uint64_t since_ns);

#endif
