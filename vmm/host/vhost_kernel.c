// SPDX-License-Identifier: MIT
/* vhost_kernel.c - the host's kernel serves a virtio device's queues: vhost */

#include "host/vhost_kernel.h"

#include "loop/loop.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/vhost.h>
#include <linux/virtio_config.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define BIT(n) (UINT64_C(1) << (n))

/* Those that are not for a driver: dirty pages are not logged, the header is the tap's, addresses
 * are the guest's.
 */
#define NOT_OFFERED \
	(BIT(VHOST_F_LOG_ALL) | BIT(VHOST_NET_F_VIRTIO_NET_HDR) | BIT(VIRTIO_F_ACCESS_PLATFORM))

static struct vhost_kernel *kernel_of(struct vhost *vhost)
{
	return (struct vhost_kernel *)vhost;
}

void vhost_kernel_close(struct vhost_kernel *kernel)
{
	for (unsigned int i = 0; i < kernel->n_devices; i++)
		close(kernel->device[i]);
	kernel->n_devices = 0;
	if (kernel->vhost.fd >= 0)
		close(kernel->vhost.fd);
	kernel->vhost.fd = -1;
}

static int fail(struct vhost_kernel *kernel, int err)
{
	vhost_kernel_close(kernel);
	return -err;
}

/* ---- the device ---- */

static int give_memory(const struct vhost_kernel *kernel, const struct guest_mem *mem)
{
	char room[sizeof(struct vhost_memory) +
		  ARRAY_SIZE(mem->region) * sizeof(struct vhost_memory_region)]
		__attribute__((aligned(8))) = { 0 };
	struct vhost_memory *memory = (struct vhost_memory *)room;

	memory->nregions = (uint32_t)mem->n_regions;
	for (size_t i = 0; i < mem->n_regions; i++)
		memory->regions[i] = (struct vhost_memory_region){
			.guest_phys_addr = mem->region[i].gpa,
			.memory_size = mem->region[i].size,
			.userspace_addr = (uintptr_t)mem->region[i].hva,
		};
	for (unsigned int i = 0; i < kernel->n_devices; i++)
		if (ioctl(kernel->device[i], VHOST_SET_MEM_TABLE, memory))
			return -errno;
	return 0;
}

static int start(struct vhost *vhost, uint64_t features, const struct guest_mem *mem)
{
	struct vhost_kernel *kernel = kernel_of(vhost);
	int ret = 0;

	if (vhost->fd < 0)
		return -EPIPE;
	for (unsigned int i = 0; i < kernel->n_devices; i++)
		if (ioctl(kernel->device[i], VHOST_SET_FEATURES, &features))
			return fail(kernel, errno);
	if (!kernel->has_memory)
		ret = give_memory(kernel, mem);
	if (ret)
		return fail(kernel, -ret);
	kernel->has_memory = true;
	return 0;
}

/* The call first: the kernel may begin at the kick. */
static int set_up_ring(const struct vhost_kernel *kernel, const struct vhost_ring *ring)
{
	int fd = kernel->device[ring->index / VHOST_KERNEL_RINGS];
	unsigned int index = ring->index % VHOST_KERNEL_RINGS;
	struct vhost_vring_state size = { index, ring->size }, base = { index, ring->base };
	struct vhost_vring_addr at = {
		.index = index,
		.desc_user_addr = (uintptr_t)ring->desc,
		.avail_user_addr = (uintptr_t)ring->avail,
		.used_user_addr = (uintptr_t)ring->used,
	};
	struct vhost_vring_file call = { index, ring->call_fd }, kick = { index, ring->kick_fd };
	struct vhost_vring_file err = { index, kernel->vhost.fd };

	if (ioctl(fd, VHOST_SET_VRING_NUM, &size) || ioctl(fd, VHOST_SET_VRING_BASE, &base) ||
		ioctl(fd, VHOST_SET_VRING_ADDR, &at) || ioctl(fd, VHOST_SET_VRING_CALL, &call) ||
		ioctl(fd, VHOST_SET_VRING_ERR, &err) || ioctl(fd, VHOST_SET_VRING_KICK, &kick))
		return -errno;
	return 0;
}

static int start_ring(struct vhost *vhost, const struct vhost_ring *ring)
{
	struct vhost_kernel *kernel = kernel_of(vhost);
	int ret;

	if (vhost->fd < 0)
		return -EPIPE;
	ret = set_up_ring(kernel, ring);
	if (!ret)
		ret = kernel->switch_ring(kernel, ring->index, true);
	return ret ? fail(kernel, -ret) : 0;
}

/* Of a ring that is let be. */
static int get_base(const struct vhost_kernel *kernel, unsigned int index, uint32_t *base)
{
	struct vhost_vring_state at = { .index = index % VHOST_KERNEL_RINGS };

	if (ioctl(kernel->device[index / VHOST_KERNEL_RINGS], VHOST_GET_VRING_BASE, &at))
		return -errno;
	*base = at.num;
	return 0;
}

static int stop_ring(struct vhost *vhost, unsigned int index, uint32_t *base)
{
	struct vhost_kernel *kernel = kernel_of(vhost);
	int ret;

	if (vhost->fd < 0)
		return -EPIPE;
	ret = kernel->switch_ring(kernel, index, false);
	if (!ret && base)
		ret = get_base(kernel, index, base);
	return ret ? fail(kernel, -ret) : 0;
}

static int check(struct vhost *vhost)
{
	struct vhost_kernel *kernel = kernel_of(vhost);
	int ret;

	if (!loop_counter_read(vhost->fd))
		return 0;
	ret = kernel->check_peer ? kernel->check_peer(kernel) : 0;
	return ret ? fail(kernel, -ret) : -EBADMSG;
}

static void close_kernel(struct vhost *vhost)
{
	vhost_kernel_close(kernel_of(vhost));
}

static const char *describe(int ret)
{
	return error_text(-ret);
}

static const struct vhost_ops ops = {
	.start = start,
	.start_ring = start_ring,
	.stop_ring = stop_ring,
	.check = check,
	.close = close_kernel,
	.strerror = describe,
};

/* ---- its making ---- */

static int explain(const char *path, const char *module, int err, struct diag *diag)
{
	if (err == EACCES || err == EPERM)
		return diag_fail(diag, err,
			"no permission to open %s; join the group that has it (`ls -l %s`; with most hosts: `usermod -aG kvm USER`, then log in again)",
			path, path);
	if (err == ENOENT || err == ENODEV || err == ENXIO)
		return diag_fail(diag, err,
			"there is no %s on this host; as root say `modprobe %s`", path, module);
	return diag_fail(diag, err, "%s: %s", path, error_text(err));
}

static int open_device(
	struct vhost_kernel *kernel, const char *path, const char *module, struct diag *diag)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint64_t features;

	if (fd < 0)
		return explain(path, module, errno, diag);
	kernel->device[kernel->n_devices++] = fd;
	if (ioctl(fd, VHOST_SET_OWNER) || ioctl(fd, VHOST_GET_FEATURES, &features))
		return diag_fail(diag, errno, "%s: %s", path, error_text(errno));
	if (!(features & BIT(VIRTIO_F_VERSION_1)))
		return diag_fail(diag, ENOTSUP, "%s does not know virtio 1.0", path);
	kernel->vhost.features = features & ~NOT_OFFERED;
	return 0;
}

int vhost_kernel_init(struct vhost_kernel *kernel, const char *path, const char *module,
	unsigned int n, struct diag *diag)
{
	int ret = 0;

	BUG_ON(n > VHOST_KERNEL_MAX);
	kernel->vhost = (struct vhost){
		.ops = &ops,
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.max_queues = n * VHOST_KERNEL_RINGS,
	};
	if (kernel->vhost.fd < 0)
		return diag_fail(diag, errno, "eventfd: %s", error_text(errno));
	while (kernel->n_devices < n && !ret)
		ret = open_device(kernel, path, module, diag);
	if (ret)
		vhost_kernel_close(kernel);
	return ret;
}
