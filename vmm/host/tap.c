// SPDX-License-Identifier: MIT
/* tap.c - a tap interface of the host as a guest's link */

#include "host/tap.h"

#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BIT(bit) (UINT64_C(1) << (bit))

#define FEATURES                                                                                \
	(BIT(VIRTIO_NET_F_CSUM) | BIT(VIRTIO_NET_F_GUEST_CSUM) | BIT(VIRTIO_NET_F_GUEST_TSO4) | \
		BIT(VIRTIO_NET_F_GUEST_TSO6) | BIT(VIRTIO_NET_F_GUEST_ECN) |                    \
		BIT(VIRTIO_NET_F_HOST_TSO4) | BIT(VIRTIO_NET_F_HOST_TSO6) |                     \
		BIT(VIRTIO_NET_F_HOST_ECN))

struct tap {
	struct link link; /* first */
	char name[IFNAMSIZ];
	struct log_limit limit;
};

/* ---- frames ---- */

static int tap_send(struct link *link, struct iovec *iov, unsigned int n)
{
	struct tap *tap = (struct tap *)link;

	if (writev(link->fd, iov, (int)n) >= 0)
		return 0;
	if (errno == EAGAIN)
		return -EAGAIN;
	if (errno == EIO && log_limit_ok(&tap->limit))
		log_warn(
			"net: %s is down, and the guest's frames are lost; say `ip link set %s up`",
			tap->name, tap->name);
	return errno == EBADFD ? -EPIPE : -errno;
}

/* The kernel cuts a frame that does not fit, and does not tell: so there is one byte more room than
 * the caller's.
 */
static ssize_t tap_receive(struct link *link, struct iovec *iov, unsigned int n, size_t room, bool)
{
	unsigned char excess;
	ssize_t size;

	iov[n] = (struct iovec){ &excess, 1 };
	size = readv(link->fd, iov, (int)n + 1);
	if (size < 0) /* EFAULT: while it is being removed */
		return errno == EBADFD || errno == EFAULT ? -EPIPE : -EAGAIN;
	return (size_t)size > room ? -EMSGSIZE : size;
}

/* Without checksums to be done there are no segments to be cut either (5.1.3.1). */
static unsigned int offloads_of(uint64_t features)
{
	unsigned int offloads = TUN_F_CSUM;

	if (!(features & BIT(VIRTIO_NET_F_GUEST_CSUM)))
		return 0;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO4))
		offloads |= TUN_F_TSO4;
	if (features & BIT(VIRTIO_NET_F_GUEST_TSO6))
		offloads |= TUN_F_TSO6;
	if (features & BIT(VIRTIO_NET_F_GUEST_ECN) && offloads != TUN_F_CSUM)
		offloads |= TUN_F_TSO_ECN;
	return offloads;
}

static void tap_set_features(struct link *link, uint64_t features)
{
	unsigned int offloads = offloads_of(features);

	link->room = LINK_HEADER + (offloads > TUN_F_CSUM ? LINK_MAX_FRAME : link->mtu + 18u);
	/* Refused, frames are whole and checksummed, which every driver takes. */
	ioctl(link->fd, TUNSETOFFLOAD, offloads);
}

static void tap_switch_queue(struct link *link, bool on)
{
	struct ifreq req = { .ifr_flags = on ? IFF_ATTACH_QUEUE : IFF_DETACH_QUEUE };

	if (ioctl(link->fd, TUNSETQUEUE, &req))
		log_warn("net: %s: a queue cannot be switched: %s", tap_name(link),
			error_text(errno));
}

static void tap_explain_end(struct link *link, struct diag *diag)
{
	diag_fail(diag, ENODEV, "%s is gone from the host", tap_name(link));
}

static void tap_close(struct link *link)
{
	close(link->fd);
	free(link);
}

static const struct link_ops tap_ops = {
	.send = tap_send,
	.receive = tap_receive,
	.set_features = tap_set_features,
	.switch_queue = tap_switch_queue,
	.explain_end = tap_explain_end,
	.close = tap_close,
};

/* ---- its making ---- */

const char *tap_name(const struct link *link)
{
	return ((const struct tap *)link)->name;
}

static uint16_t mtu_of(const char *name)
{
	struct ifreq req = { 0 };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), ret;

	strncpy(req.ifr_name, name, IFNAMSIZ - 1);
	ret = ioctl(fd, SIOCGIFMTU, &req);
	if (fd >= 0)
		close(fd);
	if (ret || req.ifr_mtu < 68)
		return 1500;
	return req.ifr_mtu > UINT16_MAX ? UINT16_MAX : (uint16_t)req.ifr_mtu;
}

/* Takes the descriptor over when it succeeds. */
static struct link *create(int fd, const char *name, struct diag *diag)
{
	struct tap *tap = calloc(1, sizeof(*tap));
	int header = LINK_HEADER;

	if (!tap) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	/* A persistent interface has kept its last user's. */
	if (ioctl(fd, TUNSETVNETHDRSZ, &header)) {
		diag_fail(diag, errno, "%s: the kernel refuses headers of %d bytes: %s", name,
			header, error_text(errno));
		free(tap);
		return NULL;
	}
	strncpy(tap->name, name, IFNAMSIZ - 1);
	tap->link = (struct link){
		.ops = &tap_ops, .fd = fd, .end_fd = -1, .features = FEATURES, .mtu = mtu_of(name)
	};
	tap_set_features(&tap->link, 0);
	return &tap->link;
}

int tap_open_device(struct diag *diag)
{
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC | O_NONBLOCK);

	if (fd >= 0)
		return fd;
	if (errno == EACCES || errno == EPERM)
		return diag_fail(diag, errno,
			"no permission to open /dev/net/tun; `ls -l` it, Debian has it open for all");
	return diag_fail(diag, errno, "/dev/net/tun: %s; say `modprobe tun`", error_text(errno));
}

static int explain(const char *name, int err, struct diag *diag)
{
	if (err == EPERM)
		return diag_fail(diag, err,
			"%s belongs to another user; give it to this one: `ip tuntap del %s mode tap; ip tuntap add %s mode tap user USER`",
			name, name, name);
	if (err == EBUSY)
		return diag_fail(
			diag, err, "%s is in use: another program is attached to it", name);
	if (err == EINVAL)
		return diag_fail(diag, err,
			"%s is no tap interface; make one: `ip tuntap add NAME mode tap user USER`",
			name);
	return diag_fail(diag, err, "%s: %s", name, error_text(err));
}

#define PLAIN   (IFF_TAP | IFF_NO_PI | IFF_VNET_HDR)
#define SEVERAL (PLAIN | IFF_MULTI_QUEUE)

static int attach_as(int fd, const char *name, int flags)
{
	struct ifreq req = { .ifr_flags = (short)flags };

	strncpy(req.ifr_name, name, IFNAMSIZ - 1);
	return ioctl(fd, TUNSETIFF, &req) ? errno : 0;
}

/* An interface of several queues does with one, but wants to be told so. */
static int attach_one(int fd, const char *name, struct diag *diag)
{
	int err = attach_as(fd, name, PLAIN);

	if (err == EINVAL)
		err = attach_as(fd, name, SEVERAL);
	return err ? explain(name, err, diag) : 0;
}

static int attach_of_several(int fd, const char *name, struct diag *diag)
{
	int err = attach_as(fd, name, SEVERAL), plain;

	if (err != EINVAL)
		return err ? explain(name, err, diag) : 0;
	plain = attach_as(fd, name, PLAIN);
	if (plain && plain != EBUSY)
		return explain(name, err, diag);
	return diag_fail(diag, err,
		"%s has one queue; make it with several: `ip tuntap del %s mode tap; ip tuntap add %s mode tap multi_queue user USER`",
		name, name, name);
}

static struct link *open_queue(const char *name, bool is_one, struct diag *diag)
{
	struct link *link = NULL;
	int fd = tap_open_device(diag);

	if (fd < 0)
		return NULL;
	if (!(is_one ? attach_one : attach_of_several)(fd, name, diag))
		link = create(fd, name, diag);
	if (!link)
		close(fd);
	return link;
}

struct link *tap_open(const char *name, unsigned int n_queues, struct diag *diag)
{
	struct link *first = NULL, **end = &first;

	if (strlen(name) >= IFNAMSIZ || !if_nametoindex(name)) {
		diag_fail(diag, ENODEV,
			"there is no interface %.32s; make it: `ip tuntap add %.32s mode tap user USER; ip link set %.32s up`",
			name, name, name);
		return NULL;
	}
	for (unsigned int i = 0; i < n_queues; i++) {
		*end = open_queue(name, n_queues == 1, diag);
		if (!*end) {
			link_close(first);
			return NULL;
		}
		end = &(*end)->next;
	}
	return first;
}

struct link *tap_adopt(int fd, struct diag *diag)
{
	struct ifreq req = { 0 };
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0) {
		diag_fail(diag, EBADF, "descriptor %d is not open", fd);
		return NULL;
	}
	if (ioctl(fd, TUNGETIFF, &req) || !(req.ifr_flags & IFF_TAP)) {
		diag_fail(diag, EINVAL,
			"descriptor %d is not that of a tap interface (/dev/net/tun, TUNSETIFF)",
			fd);
		return NULL;
	}
	/* Whether with IFF_NO_PI is not told: its bit says something else here. */
	if (!(req.ifr_flags & IFF_VNET_HDR)) {
		diag_fail(diag, EINVAL,
			"descriptor %d: %s was attached without IFF_VNET_HDR; its opener is to set IFF_TAP, IFF_NO_PI and IFF_VNET_HDR",
			fd, req.ifr_name);
		return NULL;
	}
	if (fcntl(fd, F_SETFL, flags | O_NONBLOCK) || fcntl(fd, F_SETFD, FD_CLOEXEC)) {
		diag_fail(diag, errno, "descriptor %d: fcntl: %s", fd, error_text(errno));
		return NULL;
	}
	return create(fd, req.ifr_name, diag);
}
