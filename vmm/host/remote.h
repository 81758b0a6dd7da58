/* SPDX-License-Identifier: MIT */
/* remote.h - a virtio device whose queues somebody else serves: another process or the host's
 * kernel
 *
 * A class that is served so has the remote_*() below for its start, start_queue, stop_queue,
 * quiesce, resume, saving and loaded, and begins its struct with a struct remote.  Its serve()
 * answers what the guest asks for when the back end is gone, and what comes by queues that the
 * device keeps for itself.  KVM rings the back end's bell directly, and sends its interrupts, as
 * far as the transport can have it so; the others come by the loop.
 *
 * When the back end goes, the log says so, once, and the device is lost: the machine goes on.
 */
#ifndef HOST_REMOTE_H
#define HOST_REMOTE_H

#include "host/vhost.h"
#include "virtio/virtio.h"

struct remote_ring {
	struct loop_source call; /* eventfd */
	struct remote *remote;
	bool started;  /* its back end has it, but while the device is quiet */
	uint32_t base; /* where it then goes on */
};

struct remote {
	struct virtio_dev dev;    /* first */
	struct vhost *vhost;      /* the back end; in the class's own struct */
	unsigned int n_own;       /* of its queues the last ones, which are not the back end's */
	struct loop_source link;  /* vhost->fd: it tells when the back end goes */
	struct remote_ring *ring; /* by the queue's index; owned */
	const char *name;         /* "share data": for messages; not owned */
	/* Why the connection ended, if the class knows better: true, and diag.  NULL: it does not.
	 */
	bool (*explain)(struct remote *remote, struct diag *diag);
};

/* As virtio_dev_init(), with a back end that is open, which is closed after a failure.  `features`
 * are offered as far as it has them.  It must have as many queues as are not our own.
 */
int remote_init(struct remote *remote, const struct virtio_class *class,
	const struct virtio_env *env, uint64_t features, unsigned int n_queues, uint16_t queue_size,
	struct diag *diag);
/* Closes the back end, too. */
void remote_fini(struct remote *remote);

int remote_start(struct virtio_dev *dev);
int remote_start_queue(struct virtio_dev *dev, struct virtq *vq);
void remote_stop_queue(struct virtio_dev *dev, struct virtq *vq);
/* The back end is without its rings meanwhile, and has them back where they were. */
void remote_quiesce(struct virtio_dev *dev);
void remote_resume(struct virtio_dev *dev);
/* While it is without, where the rings go on is what a copy begins with. */
int remote_saving(struct virtio_dev *dev, struct diag *diag);
int remote_loaded(struct virtio_dev *dev, struct diag *diag);

/* The back end has failed by `ret`: say so, and have the device lost. */
void remote_lose(struct remote *remote, int ret);

#endif
