/* SPDX-License-Identifier: MIT */
/* vhost_user.h - the front end of vhost-user: another process serves a virtio device's queues
 *
 * Source: QEMU's docs/interop/vhost-user.rst.
 *
 * What the back end says is not trusted, and no wait is longer than `patience_ms`.  After a failure
 * the connection is closed, as nobody knows where in the stream it is.  The back end may write to
 * all of guest RAM, as the guest may: that is what it is given it for.
 */
#ifndef HOST_VHOST_USER_H
#define HOST_VHOST_USER_H

#include "host/vhost.h"
#include "util/diag.h"
#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

#define VHOST_USER_PATIENCE_MS 5000

/* Bits of the protocol's features that are spoken here. */
#define VHOST_USER_PROTOCOL_F_MQ        0
#define VHOST_USER_PROTOCOL_F_REPLY_ACK 3
#define VHOST_USER_PROTOCOL_F_CONFIG    9

#define VHOST_USER_MAX_CONFIG 256 /* bytes of configuration space that a message can carry */

struct vhost_user {
	struct vhost vhost; /* first; its fd is the connection, non-blocking */
	unsigned int patience_ms;
	uint64_t protocol; /* features of the protocol that both speak */
	bool is_gated;     /* rings are to be enabled one by one */
	bool has_memory;   /* it has been given guest RAM */
};

extern const struct vhost_ops vhost_user_ops;

/* A connection to the socket at `path`.  -errno and diag, which does not name the path. */
int vhost_user_connect(const char *path, struct diag *diag);

/* Agree with the back end on what to speak; `fd`, which is non-blocking, is then `vu`'s, also after
 * a failure.  -errno and diag.
 */
int vhost_user_init(struct vhost_user *vu, int fd, unsigned int patience_ms, struct diag *diag);
void vhost_user_close(struct vhost_user *vu);

/* All that follow, and the ops, which want shared memory: 0 or -errno, after which the connection
 * is closed.  -EPIPE: the back end has closed it, or it was closed before; -ETIMEDOUT: no answer
 * came; -EPROTO: what came is none; -EREMOTEIO: the back end refuses.
 */
const char *vhost_user_strerror(int ret);

/* The first `size` bytes of the device's configuration space; a change of it.  Only if the protocol
 * has the feature CONFIG.
 */
int vhost_user_get_config(struct vhost_user *vu, void *config, uint32_t size);
int vhost_user_set_config(struct vhost_user *vu, uint32_t offset, const void *data, uint32_t size);

#endif
