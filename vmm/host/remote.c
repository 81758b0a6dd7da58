// SPDX-License-Identifier: MIT
/* remote.c - a virtio device whose queues somebody else serves */

#include "host/remote.h"

#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Of the rings: what is walked by the back end alone. */
#define RING_FEATURES                                                               \
	(VIRTIO_BIT(VIRTIO_F_VERSION_1) | VIRTIO_BIT(VIRTIO_RING_F_INDIRECT_DESC) | \
		VIRTIO_BIT(VIRTIO_RING_F_EVENT_IDX))

/* ---- what the back end tells ---- */

static void call_ready(void *ctx, uint32_t)
{
	struct remote_ring *ring = ctx;
	struct remote *remote = ring->remote;

	if (ring->started)
		remote->dev.transport->signal_queue(
			remote->dev.transport, (unsigned int)(ring - remote->ring));
}

void remote_lose(struct remote *remote, int ret)
{
	struct diag diag;

	if (remote->dev.lost)
		return;
	remote->vhost->ops->close(remote->vhost);
	if (!remote->explain || !remote->explain(remote, &diag))
		diag_fail(&diag, -ret, "the back end: %s", remote->vhost->ops->strerror(ret));
	log_error("%s: %s; what the guest asks of the device now fails", remote->name, diag.text);
	virtio_lose(&remote->dev, diag.text);
}

/* Stopped, or who serves it would meet the same again at each kick. */
static void refuse_guest(struct remote *remote)
{
	virtio_fail(&remote->dev, "its rings, or what they lead to, are malformed");
	for (unsigned int i = 0; i < remote->dev.n_elsewhere; i++)
		remote_stop_queue(&remote->dev, &remote->dev.queue[i].vq);
}

/* It may be the answer to what a vCPU has asked meanwhile, and so be gone. */
static void link_ready(void *ctx, uint32_t)
{
	struct remote *remote = ctx;
	int ret;

	if (remote->vhost->fd < 0)
		return;
	ret = remote->vhost->ops->check(remote->vhost);
	if (ret == -EBADMSG)
		refuse_guest(remote);
	else if (ret)
		remote_lose(remote, ret);
}

/* ---- what it is told ---- */

int remote_start(struct virtio_dev *dev)
{
	struct remote *remote = (struct remote *)dev;
	struct vhost *vhost = remote->vhost;
	int ret = vhost->ops->start(vhost, dev->features & vhost->features, dev->env->mem);

	if (ret)
		remote_lose(remote, ret);
	return ret;
}

static int give_ring(struct remote *remote, unsigned int index)
{
	const struct virtio_queue *queue = &remote->dev.queue[index];
	const struct vhost_ring ring = {
		.index = index,
		.size = queue->vq.size,
		.desc = queue->vq.desc,
		.avail = queue->vq.avail,
		.used = queue->vq.used,
		.base = remote->ring[index].base,
		.kick_fd = queue->kick.fd,
		.call_fd = remote->ring[index].call.fd,
	};
	int ret = remote->vhost->ops->start_ring(remote->vhost, &ring);

	if (ret)
		remote_lose(remote, ret);
	return ret;
}

static void take_ring(struct remote *remote, unsigned int index, uint32_t *base)
{
	int ret = remote->vhost->ops->stop_ring(remote->vhost, index, base);

	if (ret)
		remote_lose(remote, ret);
}

int remote_start_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct remote *remote = (struct remote *)dev;
	unsigned int index = virtio_index(vq);

	if (index >= dev->n_elsewhere)
		return 0;
	remote->ring[index].started = true;
	remote->ring[index].base = 0;
	virtio_set_called(vq, true);
	return give_ring(remote, index);
}

void remote_stop_queue(struct virtio_dev *dev, struct virtq *vq)
{
	struct remote *remote = (struct remote *)dev;
	unsigned int index = virtio_index(vq);
	struct remote_ring *ring = &remote->ring[index];

	if (index >= dev->n_elsewhere || !ring->started)
		return;
	ring->started = false;
	virtio_set_called(vq, false);
	if (!dev->lost && !dev->is_quiet)
		take_ring(remote, index, NULL);
}

void remote_quiesce(struct virtio_dev *dev)
{
	struct remote *remote = (struct remote *)dev;

	for (unsigned int i = 0; i < dev->n_elsewhere && !dev->lost; i++)
		if (remote->ring[i].started)
			take_ring(remote, i, &remote->ring[i].base);
}

/* What a back end has not come to when it was stopped nobody knows: it looks at each ring, and so
 * does the guest.
 */
void remote_resume(struct virtio_dev *dev)
{
	struct remote *remote = (struct remote *)dev;

	for (unsigned int i = 0; i < dev->n_elsewhere && !dev->lost; i++) {
		if (!remote->ring[i].started || give_ring(remote, i))
			continue;
		virtio_kick_later(&dev->queue[i].vq);
		loop_counter_add(remote->ring[i].call.fd);
	}
}

/* ---- a copy of it ---- */

/* How far the back end has come is in guest RAM, too, where the guest may write what it likes. */
int remote_saving(struct virtio_dev *dev, struct diag *)
{
	struct remote *remote = (struct remote *)dev;

	for (unsigned int i = 0; i < dev->n_elsewhere; i++) {
		struct virtq *vq = &dev->queue[i].vq;

		if (!remote->ring[i].started)
			continue;
		virtq_take_over(vq);
		vq->next_avail = (uint16_t)remote->ring[i].base;
		if ((uint16_t)(vq->next_avail - vq->next_used) > vq->size)
			vq->next_used = vq->next_avail;
	}
	return 0;
}

/* The rings are given at resume. */
int remote_loaded(struct virtio_dev *dev, struct diag *)
{
	struct remote *remote = (struct remote *)dev;

	for (unsigned int i = 0; i < dev->n_elsewhere; i++) {
		struct virtq *vq = &dev->queue[i].vq;

		remote->ring[i].started = vq->enabled && dev->status & VIRTIO_CONFIG_S_DRIVER_OK;
		remote->ring[i].base = vq->next_avail;
		virtio_set_called(vq, remote->ring[i].started);
	}
	return 0;
}

/* ---- its making ---- */

static int open_call(struct remote *remote, unsigned int index)
{
	struct remote_ring *ring = &remote->ring[index];

	ring->remote = remote;
	ring->call = (struct loop_source){
		.fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK),
		.ready = call_ready,
		.ctx = ring,
		.lock = &remote->dev.dev.lock,
	};
	if (ring->call.fd < 0)
		return -errno;
	remote->dev.queue[index].call.fd = ring->call.fd;
	return loop_add(remote->dev.env->loop, &ring->call, EPOLLIN | EPOLLET);
}

static int watch_link(struct remote *remote)
{
	remote->link = (struct loop_source){
		.fd = remote->vhost->fd,
		.ready = link_ready,
		.ctx = remote,
		.lock = &remote->dev.dev.lock,
	};
	return loop_add(remote->dev.env->loop, &remote->link, EPOLLIN | EPOLLRDHUP);
}

static int open_calls(struct remote *remote, unsigned int n, struct diag *diag)
{
	int ret = 0;

	remote->ring = calloc(n, sizeof(*remote->ring));
	if (!remote->ring)
		return diag_fail(diag, ENOMEM, "out of memory");
	for (unsigned int i = 0; i < n; i++)
		remote->ring[i].call.fd = -1;
	for (unsigned int i = 0; i < n && !ret; i++)
		ret = open_call(remote, i);
	if (!ret)
		ret = watch_link(remote);
	return ret ? diag_fail(diag, -ret, "eventfd: %s", error_text(-ret)) : 0;
}

static void close_calls(struct remote *remote)
{
	for (unsigned int i = 0; remote->ring && i < remote->dev.n_elsewhere; i++)
		if (remote->ring[i].call.fd >= 0)
			close(remote->ring[i].call.fd);
	free(remote->ring);
}

int remote_init(struct remote *remote, const struct virtio_class *class,
	const struct virtio_env *env, uint64_t features, unsigned int n_queues, uint16_t queue_size,
	struct diag *diag)
{
	struct vhost *vhost = remote->vhost;
	unsigned int n_elsewhere = n_queues - remote->n_own;
	int ret;

	if (n_elsewhere > vhost->max_queues) {
		vhost->ops->close(vhost);
		return diag_fail(diag, E2BIG, "the back end serves at most %u queues, not %u",
			vhost->max_queues, n_elsewhere);
	}
	features = (features | RING_FEATURES) & vhost->features;
	remote->dev.n_elsewhere = n_elsewhere;
	ret = virtio_dev_init(&remote->dev, class, env, features, n_queues, queue_size, diag);
	if (ret) {
		vhost->ops->close(vhost);
		return ret;
	}
	ret = open_calls(remote, n_elsewhere, diag);
	if (ret)
		remote_fini(remote);
	return ret;
}

void remote_fini(struct remote *remote)
{
	remote->vhost->ops->close(remote->vhost);
	close_calls(remote);
	virtio_dev_fini(&remote->dev);
}
