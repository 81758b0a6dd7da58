/* SPDX-License-Identifier: MIT */
/* agent.h - the VMM's end of the link: a machine that does what the API's process asks of it */
#ifndef API_AGENT_H
#define API_AGENT_H

#include "config/config.h"

#include <stdint.h>

/* Start a machine with these settings and see it to its end, in this process; `link_fd` is to the
 * API's, whose end ends the machine.  The exit status.
 */
int agent_run(const struct config *config, int link_fd, uint64_t since_ns);

#endif
