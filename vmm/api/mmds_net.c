// SPDX-License-Identifier: MIT
/* mmds_net.c - a network of which a guest is the one end, and the host's TCP the other */

#include "api/mmds_net.h"

#include "dev/net_mmds.h"
#include "host/tap.h"
#include "util/error.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <net/route.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define NAME    "mmds"
#define PORT    80
#define BACKLOG 16

/* ---- the namespace ---- */

/* With the rights for it, or those that a user namespace gives. */
static int enter(struct diag *diag)
{
	if (!unshare(CLONE_NEWNET))
		return 0;
	if (errno == EPERM && !unshare(CLONE_NEWUSER | CLONE_NEWNET))
		return 0;
	return diag_fail(diag, errno,
		"the host permits no network namespace for the metadata service (unshare: %s); allow user namespaces (`sysctl user.max_user_namespaces kernel.unprivileged_userns_clone`), or start as root",
		error_text(errno));
}

/* What the host has by default is inherited.  Of what is not there, nothing need be set. */
static void set(const char *path, const char *value)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, value, strlen(value));
	close(fd);
}

/* ---- the interface ---- */

static int make_tap(struct ifreq *req, struct diag *diag)
{
	int fd = tap_open_device(diag), header = LINK_HEADER, ret;

	if (fd < 0)
		return fd;
	req->ifr_flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR;
	if (!ioctl(fd, TUNSETIFF, req) && !ioctl(fd, TUNSETVNETHDRSZ, &header))
		return fd;
	ret = diag_fail(diag, errno,
		"the host permits no tap for the metadata service, even in a namespace of its own (%s); start as root%s",
		error_text(errno),
		errno == EPERM ? ", or see `sysctl kernel.apparmor_restrict_unprivileged_userns`"
			       : "");
	close(fd);
	return ret;
}

static struct sockaddr to_address(uint32_t address)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = address };
	struct sockaddr plain;

	memcpy(&plain, &in, sizeof(plain));
	return plain;
}

static int add_route(int fd, uint32_t to, uint32_t mask, uint32_t gateway)
{
	struct rtentry route = {
		.rt_dst = to_address(to),
		.rt_genmask = to_address(mask),
		.rt_gateway = to_address(gateway),
		.rt_flags = (unsigned short)(RTF_UP | (gateway ? RTF_GATEWAY : RTF_HOST)),
		.rt_dev = (char[]){ NAME },
	};

	return ioctl(fd, SIOCADDRT, &route);
}

/* All that goes out has one next hop, which there need not be. */
static int set_up(int fd, struct ifreq req, uint32_t address)
{
	uint32_t hop = address ^ htonl(1);

	req.ifr_hwaddr = (struct sockaddr){ .sa_family = ARPHRD_ETHER };
	memcpy(req.ifr_hwaddr.sa_data, net_mmds_mac, sizeof(net_mmds_mac));
	if (ioctl(fd, SIOCSIFHWADDR, &req))
		return -errno;
	req.ifr_addr = to_address(address);
	if (ioctl(fd, SIOCSIFADDR, &req))
		return -errno;
	req.ifr_netmask = to_address(UINT32_MAX);
	if (ioctl(fd, SIOCSIFNETMASK, &req))
		return -errno;
	req.ifr_flags = IFF_UP | IFF_NOARP;
	if (ioctl(fd, SIOCSIFFLAGS, &req))
		return -errno;
	if (add_route(fd, hop, UINT32_MAX, 0) || add_route(fd, 0, 0, hop))
		return -errno;
	return 0;
}

static int listen_at(uint32_t address)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = address, .sin_port = htons(PORT)
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), err;

	if (fd < 0)
		return -errno;
	if (!bind(fd, (struct sockaddr *)&at, sizeof(at)) && !listen(fd, BACKLOG))
		return fd;
	err = errno;
	close(fd);
	return -err;
}

/* The socket through which it is set up has to be of the namespace. */
static int open_door(struct mmds_net *net, const struct ifreq *req, uint32_t address)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	if (fd < 0)
		return -errno;
	ret = set_up(fd, *req, address);
	close(fd);
	if (ret)
		return ret;
	net->listen_fd = listen_at(address);
	return net->listen_fd < 0 ? net->listen_fd : 0;
}

int mmds_net_make(struct mmds_net *net, struct in_addr address, struct diag *diag)
{
	struct ifreq req = { .ifr_name = NAME };
	int ret = enter(diag);

	if (ret)
		return ret;
	set("/proc/sys/net/ipv4/ip_forward", "0");
	set("/proc/sys/net/ipv6/conf/default/disable_ipv6", "1");
	set("/proc/sys/net/ipv6/conf/all/disable_ipv6", "1");
	net->tap_fd = make_tap(&req, diag);
	if (net->tap_fd < 0)
		return net->tap_fd;
	ret = open_door(net, &req, address.s_addr);
	if (!ret)
		return 0;
	close(net->tap_fd);
	return diag_fail(diag, -ret, "the metadata service's network cannot be set up: %s",
		error_text(-ret));
}
