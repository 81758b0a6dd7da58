// SPDX-License-Identifier: MIT
/* vhost_vsock.c - the host's kernel serves a virtio-vsock */

#include "host/vhost_vsock.h"

#include "util/error.h"

#include <errno.h>
#include <linux/vhost.h>
#include <sys/ioctl.h>

#define ALL_READY ((1u << VHOST_KERNEL_RINGS) - 1)

/* It runs with both rings or not at all. */
static int switch_ring(struct vhost_kernel *kernel, unsigned int index, bool on)
{
	struct vhost_vsock *vsock = (struct vhost_vsock *)kernel;
	bool was_running = vsock->ready == ALL_READY;
	int running;

	vsock->ready = on ? vsock->ready | 1u << index : vsock->ready & ~(1u << index);
	running = vsock->ready == ALL_READY;
	if (running == was_running)
		return 0;
	return ioctl(kernel->device[0], VHOST_VSOCK_SET_RUNNING, &running) ? -errno : 0;
}

static int take_cid(const struct vhost_kernel *kernel, uint32_t cid, struct diag *diag)
{
	uint64_t value = cid;

	if (!ioctl(kernel->device[0], VHOST_VSOCK_SET_GUEST_CID, &value))
		return 0;
	if (errno == EADDRINUSE)
		return diag_fail(diag, errno,
			"cid=%u: another VM of this host has this number; choose another", cid);
	return diag_fail(diag, errno, "cid=%u: %s", cid, error_text(errno));
}

int vhost_vsock_open(struct vhost_vsock *vsock, uint32_t cid, struct diag *diag)
{
	int ret;

	*vsock = (struct vhost_vsock){ .kernel.switch_ring = switch_ring };
	ret = vhost_kernel_init(&vsock->kernel, "/dev/vhost-vsock", "vhost_vsock", 1, diag);
	if (ret)
		return ret;
	ret = take_cid(&vsock->kernel, cid, diag);
	if (ret)
		vhost_kernel_close(&vsock->kernel);
	return ret;
}
