// SPDX-License-Identifier: MIT
/* net_mmds.c - a virtio-net's way to the guest's metadata service */

#include "dev/net_mmds.h"

#include "util/iov.h"

#include <errno.h>
#include <net/ethernet.h>
#include <net/if_arp.h>
#include <netinet/if_ether.h>
#include <netinet/ip.h>
#include <stddef.h>
#include <string.h>

const uint8_t net_mmds_mac[6] = { 0x06, 0x01, 0x23, 0x45, 0x67, 0x01 };

/* As they lie in memory, the link's header first: no more is ever looked at. */
struct start {
	uint8_t header[LINK_HEADER];
	struct ether_header eth;
	union {
		struct ether_arp arp;
		struct iphdr ip;
	};
} __attribute__((packed));

#define ARP_SIZE (offsetof(struct start, arp) + sizeof(struct ether_arp))
#define IP_SIZE  (offsetof(struct start, ip) + sizeof(struct iphdr))

/* RFC 826: who asks for the service's address.  What else is said of it nobody need know. */
static int take_arp(struct net_mmds *mmds, const struct start *start)
{
	if (start->arp.arp_hrd != htons(ARPHRD_ETHER) ||
		start->arp.arp_pro != htons(ETHERTYPE_IP) || start->arp.arp_hln != ETH_ALEN ||
		start->arp.arp_pln != 4 || start->arp.arp_op != htons(ARPOP_REQUEST))
		return -EBADMSG;
	memcpy(mmds->asker, start->arp.arp_sha, ETH_ALEN);
	memcpy(mmds->asker + ETH_ALEN, start->arp.arp_spa, 4);
	mmds->owes_reply = true;
	return 0;
}

/* What was looked at goes from where it was copied to. */
static int send_ip(struct net_mmds *mmds, struct start *start, struct iovec *iov, unsigned int n)
{
	struct iovec *rest = iov;

	if (start->ip.version != 4 || start->ip.ihl != 5 || start->ip.protocol != IPPROTO_TCP ||
		start->ip.frag_off & htons(IP_MF | IP_OFFMASK))
		return -EBADMSG;
	memcpy(mmds->guest, start->eth.ether_shost, ETH_ALEN);
	memcpy(start->eth.ether_dhost, net_mmds_mac, ETH_ALEN);
	n = iov_skip(&rest, n, IP_SIZE);
	memmove(iov + 1, rest, n * sizeof(*iov));
	iov[0] = (struct iovec){ start, IP_SIZE };
	return mmds->link->ops->send(mmds->link, iov, n + 1);
}

bool net_mmds_send(struct net_mmds *mmds, struct iovec *iov, unsigned int n, int *ret)
{
	struct start start = { 0 };
	size_t size = iov_read(iov, n, &start, sizeof(start));

	if (start.eth.ether_type == htons(ETHERTYPE_ARP) && size >= ARP_SIZE &&
		!memcmp(start.arp.arp_tpa, &mmds->address, 4)) {
		*ret = take_arp(mmds, &start);
		return true;
	}
	if (start.eth.ether_type != htons(ETHERTYPE_IP) || size < IP_SIZE ||
		start.ip.daddr != mmds->address)
		return false;
	*ret = send_ip(mmds, &start, iov, n);
	return true;
}

static ssize_t reply(
	struct net_mmds *mmds, const struct iovec *iov, unsigned int n, size_t room, bool is_all)
{
	struct start start = {
		.eth = { .ether_type = htons(ETHERTYPE_ARP) },
		.arp = {
			.arp_hrd = htons(ARPHRD_ETHER),
			.arp_pro = htons(ETHERTYPE_IP),
			.arp_hln = ETH_ALEN,
			.arp_pln = 4,
			.arp_op = htons(ARPOP_REPLY),
		},
	};

	if (room < ARP_SIZE && !is_all)
		return -ENOBUFS;
	mmds->owes_reply = false;
	if (room < ARP_SIZE)
		return -EMSGSIZE;
	memcpy(start.eth.ether_dhost, mmds->asker, ETH_ALEN);
	memcpy(start.eth.ether_shost, net_mmds_mac, ETH_ALEN);
	memcpy(start.arp.arp_sha, net_mmds_mac, ETH_ALEN);
	memcpy(start.arp.arp_spa, &mmds->address, 4);
	memcpy(start.arp.arp_tha, mmds->asker, ETH_ALEN);
	memcpy(start.arp.arp_tpa, mmds->asker + ETH_ALEN, 4);
	return (ssize_t)iov_write(iov, n, &start, ARP_SIZE);
}

ssize_t net_mmds_receive(
	struct net_mmds *mmds, struct iovec *iov, unsigned int n, size_t room, bool is_all)
{
	ssize_t size;

	if (mmds->owes_reply)
		return reply(mmds, iov, n, room, is_all);
	if (!mmds->has_frames)
		return -EAGAIN;
	size = mmds->link->ops->receive(mmds->link, iov, n, room, is_all);
	if (size >= 0)
		iov_write_at(iov, n, LINK_HEADER, mmds->guest, ETH_ALEN);
	else if (size != -ENOBUFS && size != -EMSGSIZE)
		mmds->has_frames = false, size = -EAGAIN;
	return size;
}
