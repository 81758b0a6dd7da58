// SPDX-License-Identifier: MIT
/* vhost_net.c - the host's kernel moves frames between a virtio-net and a tap */

#include "host/vhost_net.h"

#include <errno.h>
#include <linux/if_tun.h>
#include <linux/vhost.h>
#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>

/* Once the tap is taken off, what is under way has been waited for. */
static int set_tap(const struct vhost_net *net, unsigned int index, bool on)
{
	unsigned int pair = index / VHOST_KERNEL_RINGS;
	struct vhost_vring_file file = {
		.index = index % VHOST_KERNEL_RINGS,
		.fd = on ? net->tap[pair] : VHOST_FILE_UNBIND,
	};

	return ioctl(net->kernel.device[pair], VHOST_NET_SET_BACKEND, &file) ? -errno : 0;
}

/* The kernel refuses a tap that is switched off. */
static int switch_ring(struct vhost_kernel *kernel, unsigned int index, bool on)
{
	struct vhost_net *net = (struct vhost_net *)kernel;
	uint64_t bit = UINT64_C(1) << index;

	net->ready = on ? net->ready | bit : net->ready & ~bit;
	return index / VHOST_KERNEL_RINGS < net->n_on ? set_tap(net, index, on) : 0;
}

/* What cannot be sent at all is told as what is malformed is. */
static int check_peer(struct vhost_kernel *kernel)
{
	struct ifreq req = { 0 };

	return ioctl(((struct vhost_net *)kernel)->tap[0], TUNGETIFF, &req) ? -errno : 0;
}

int vhost_net_use(struct vhost_net *net, unsigned int n)
{
	unsigned int was = net->n_on * VHOST_KERNEL_RINGS, is = n * VHOST_KERNEL_RINGS;
	int ret = net->kernel.vhost.fd < 0 ? -EPIPE : 0;

	net->n_on = n;
	for (unsigned int i = was; i < is && !ret; i++)
		if (net->ready & UINT64_C(1) << i)
			ret = set_tap(net, i, true);
	for (unsigned int i = is; i < was && !ret; i++)
		if (net->ready & UINT64_C(1) << i)
			ret = set_tap(net, i, false);
	if (ret)
		vhost_kernel_close(&net->kernel);
	return ret;
}

int vhost_net_open(struct vhost_net *net, const int *tap, unsigned int n, struct diag *diag)
{
	*net = (struct vhost_net){
		.kernel = { .switch_ring = switch_ring, .check_peer = check_peer },
		.n_on = 1,
	};
	memcpy(net->tap, tap, n * sizeof(*tap));
	return vhost_kernel_init(&net->kernel, "/dev/vhost-net", "vhost_net", n, diag);
}
