/* SPDX-License-Identifier: MIT */
/* passt.h - networking without privileges: passt(1) as a guest's link
 *
 * It is started for the guest, speaks TCP, UDP and ICMP to the world by ordinary sockets of its
 * user's, and answers the guest's DHCP, NDP and ARP.  It ends when its socket is closed, so with
 * us, however we end.
 */
#ifndef HOST_PASST_H
#define HOST_PASST_H

#include "host/link.h"
#include "util/diag.h"

#define PASST_MTU 65520u /* the most that it hands out */

struct passt_options {
	const char *forwards; /* words with blanks between, see below; NULL: none */
	bool reach_host;      /* the gateway's address stands for the host's loopback */
	uint16_t mtu;         /* that guests are told */
};

/* Whether each word is PROTO:[ADDRESS:]PORT:PORT, tcp or udp, a port of the host, and one of the
 * guest.  -EINVAL and diag.
 */
int passt_check_forwards(const char *forwards, struct diag *diag);

/* Start it.  It comes up while the guest does; what it fails at later is in the log, and the link
 * down.  The main thread.  NULL and diag.
 */
struct link *passt_open(const struct passt_options *options, struct diag *diag);

#endif
