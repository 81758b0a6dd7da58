/* SPDX-License-Identifier: MIT */
/* mmds_net.h - a network of which a guest is the one end, and the host's TCP the other
 *
 * The interface does no ARP, and whatever goes out goes to one neighbour: so a guest that takes
 * many addresses costs the host no entry of its table of neighbours, which all namespaces share.
 * Frames that go out have the interface's own address for their destination; who has the other end
 * of the tap answers ARP, and writes the guest's address (dev/net_mmds.h).
 */
#ifndef API_MMDS_NET_H
#define API_MMDS_NET_H

#include "util/diag.h"

#include <netinet/in.h>

struct mmds_net {
	int tap_fd;    /* with headers (IFF_VNET_HDR) */
	int listen_fd; /* TCP, port 80, non-blocking */
};

/* Go into a network namespace of our own and make one.  The calling process, which has one thread;
 * again for another.  -errno, diag.
 */
int mmds_net_make(struct mmds_net *net, struct in_addr address, struct diag *diag);

#endif
