/* SPDX-License-Identifier: MIT */
/* vhost_kernel.h - the host's kernel serves a virtio device's queues: vhost
 *
 * Source: <linux/vhost.h>, Linux, drivers/vhost.  A device of the kernel's serves two queues, with
 * a thread of its own, in our address space; what a network of several pairs has of them are
 * several. When it finds the guest's rings malformed it writes to an eventfd and lets them be.
 */
#ifndef HOST_VHOST_KERNEL_H
#define HOST_VHOST_KERNEL_H

#include "host/vhost.h"
#include "util/diag.h"

#define VHOST_KERNEL_RINGS 2  /* of one device */
#define VHOST_KERNEL_MAX   16 /* devices */

struct vhost_kernel {
	struct vhost vhost; /* first; its fd is the eventfd for what is malformed */
	unsigned int n_devices;
	int device[VHOST_KERNEL_MAX];
	bool has_memory;

	/* The ring has been set up and may be served, or is to be let be.  -errno. */
	int (*switch_ring)(struct vhost_kernel *kernel, unsigned int index, bool on);
	/* Whether what it moves data to is still there: 0 or -errno.  NULL: always. */
	int (*check_peer)(struct vhost_kernel *kernel);
};

/* Open n devices at `path`, of the module `module`.  The main thread; each device's memory is that
 * of the process that does this.  -errno and diag.
 */
int vhost_kernel_init(struct vhost_kernel *kernel, const char *path, const char *module,
	unsigned int n, struct diag *diag);
void vhost_kernel_close(struct vhost_kernel *kernel);

#endif
