/* SPDX-License-Identifier: MIT */
/* net_mmds.h - a virtio-net's way to the guest's metadata service (docs/mmds.md)
 *
 * Of the guest's frames those go there that Firecracker has go there: IPv4 for the service's
 * address, whatever the destination on the link, and ARP for it.  ARP is answered here.  Of IPv4
 * only TCP goes on, without options and in one piece; what was looked at is what goes.  A guest
 * that changes a frame meanwhile changes what lies behind.
 *
 * The link is a tap whose interface does no ARP: what comes from it gets the guest's address, that
 * which its last frame came from, before the guest sees it.
 */
#ifndef DEV_NET_MMDS_H
#define DEV_NET_MMDS_H

#include "host/link.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

extern const uint8_t net_mmds_mac[6]; /* Firecracker's */

/* What a device's maker says of it. */
struct net_mmds_options {
	struct link *link; /* such a tap's (tap_adopt()); the device's when that is made */
	struct in_addr address;
};

struct net_mmds {
	struct link *link; /* owned; NULL: there is no service */
	uint32_t address;  /* as on the wire */
	uint8_t guest[6];  /* its address on the link */
	bool has_frames;   /* the link may have some */
	bool owes_reply;   /* to the ARP request of who is next */
	uint8_t asker[10]; /* his address on the link, and of IPv4 */
};

/* Whether a frame of the guest's, with its header, is for the service.  Then *ret is 0: it is
 * there, or waits for net_mmds_receive() (owes_reply); or it is lost: -errno.  As of a link's
 * send(), what the segments say may be changed, and iov[n] be used.
 */
bool net_mmds_send(struct net_mmds *mmds, struct iovec *iov, unsigned int n, int *ret);

/* As a link's receive(), but that the end is no end: -EAGAIN then. */
ssize_t net_mmds_receive(
	struct net_mmds *mmds, struct iovec *iov, unsigned int n, size_t room, bool is_all);

#endif
