// SPDX-License-Identifier: MIT
/* vsock.c - virtio-vsock: the device */

#include "dev/vsock.h"

#include "dev/vsock_parts.h"
#include "dev/vsock_vhost.h"
#include "util/bits.h"

#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define QUEUE_SIZE 256

/* ---- options ---- */

#define AT(member) offsetof(struct vsock_options, member)

static const struct setting settings[] = {
	{ "path", 0, SETTING_PATH, ANYWHERE, .at = AT(path) },
	{ "cid", 0, SETTING_NUMBER, ANYWHERE, .at = AT(cid), .min = VMADDR_CID_HOST + 1,
		.max = VMADDR_CID_ANY - 1 },
};

/* Among those of unix sockets each host is a host of its own, and one number serves all. */
static int options_check(void *item, struct diag *diag)
{
	struct vsock_options *options = item;

	if (!options->path && !options->cid)
		return diag_fail(diag, EINVAL,
			"give PATH, of a unix socket, or cid=N, of the guest on this host");
	if (!options->cid)
		options->cid = VMADDR_CID_HOST + 1;
	return 0;
}

const struct schema vsock_schema = {
	.settings = settings,
	.n = ARRAY_SIZE(settings),
	.bare = "path",
	.size = sizeof(struct vsock_options),
	.check = options_check,
};

/* ---- the device ---- */

static const struct counter counters[] = {
	VIRTIO_COUNTERS,
	{ "rx_packets_count", offsetof(struct vsock, n_packets[QUEUE_RX]) },
	{ "rx_bytes_count", offsetof(struct vsock, n_bytes[QUEUE_RX]) },
	{ "tx_packets_count", offsetof(struct vsock, n_packets[QUEUE_TX]) },
	{ "tx_bytes_count", offsetof(struct vsock, n_bytes[QUEUE_TX]) },
	{ "conns_added", offsetof(struct vsock, n_conns_added) },
	{ "conns_removed", offsetof(struct vsock, n_conns_removed) },
	{ NULL, 0 },
};

static int vsock_serve(struct virtio_dev *dev, struct virtq *vq, const struct virtq_chain *chain)
{
	struct vsock *vsock = (struct vsock *)dev;

	if (vq == virtio_queue(dev, QUEUE_RX))
		return vsock_serve_rx(vsock, vq, chain);
	if (vq == virtio_queue(dev, QUEUE_TX))
		return vsock_serve_tx(vsock, vq, chain);
	return vsock_serve_event(&vsock->owes_reset, vq, chain);
}

/* What one queue has brought, the other has to do. */
static void vsock_served(struct virtio_dev *dev, struct virtq *vq)
{
	struct vsock *vsock = (struct vsock *)dev;

	if (vq == virtio_queue(dev, QUEUE_TX)) {
		virtio_serve(dev, virtio_queue(dev, QUEUE_RX));
	} else if (vsock->tx_waits && vsock->n_strays < MAX_STRAYS) {
		vsock->tx_waits = false;
		virtio_kick_later(virtio_queue(dev, QUEUE_TX));
	}
}

static void vsock_reset(struct virtio_dev *dev)
{
	struct vsock *vsock = (struct vsock *)dev;

	while (vsock_take_ready(vsock))
		continue;
	for (unsigned int i = 0; i < CONN_MAX && vsock_has_conns(vsock); i++)
		if (vsock->conn[i].state != CONN_FREE)
			conn_drop(&vsock->conn[i]);
	vsock->n_strays = 0;
	vsock->tx_waits = vsock->owes_reset = false;
}

static void vsock_resume(struct virtio_dev *dev)
{
	vsock_renew_deadlines((struct vsock *)dev);
}

/* Streams are between two programs, one of which has no copy. */
static int vsock_loaded(struct virtio_dev *dev, struct diag *)
{
	((struct vsock *)dev)->owes_reset = true;
	return 0;
}

static void vsock_close(struct virtio_dev *dev)
{
	struct vsock *vsock = (struct vsock *)dev;

	vsock_reset(dev);
	vsock_stop_listening(vsock);
	munmap(vsock->buffers, (size_t)CONN_MAX * CONN_BUFFER);
	free(vsock->conn);
	virtio_dev_fini(dev);
	free(vsock);
}

/* ---- its making ---- */

/* Memory that is taken from the host as it is touched. */
static int make_conns(struct vsock *vsock, struct diag *diag)
{
	vsock->conn = calloc(CONN_MAX, sizeof(*vsock->conn));
	vsock->buffers = mmap(NULL, (size_t)CONN_MAX * CONN_BUFFER, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vsock->conn && vsock->buffers != MAP_FAILED)
		return 0;
	free(vsock->conn);
	if (vsock->buffers != MAP_FAILED)
		munmap(vsock->buffers, (size_t)CONN_MAX * CONN_BUFFER);
	return diag_fail(diag, ENOMEM, "out of memory");
}

static int set_path(struct vsock *vsock, const char *path, struct diag *diag)
{
	/* The host's ports are told apart by what is added: "_4294967295". */
	size_t most = sizeof(vsock->path) - sizeof("_4294967295");

	if (strlen(path) > most)
		return diag_fail(diag, ENAMETOOLONG,
			"%.120s...: the name of the socket is too long, it may have %zu bytes",
			path, most);
	memcpy(vsock->path, path, strlen(path) + 1);
	return 0;
}

static struct virtio_dev *vsock_open(
	const void *opts, const struct virtio_env *env, struct diag *diag)
{
	const struct vsock_options *options = opts;
	struct vsock *vsock;
	int ret;

	if (!options->path)
		return vsock_vhost_open(options, env, diag);
	vsock = calloc(1, sizeof(*vsock));
	if (!vsock) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	vsock->config.guest_cid = options->cid;
	vsock->dev.config = &vsock->config;
	vsock->dev.config_size = sizeof(vsock->config);
	vsock->tick.fd = vsock->at.fd = -1;
	ret = set_path(vsock, options->path, diag);
	if (!ret)
		ret = make_conns(vsock, diag);
	if (ret)
		goto err_vsock;
	ret = virtio_dev_init(&vsock->dev, &vsock_class, env, 0, N_QUEUES, QUEUE_SIZE, diag);
	if (ret)
		goto err_conns;
	if (!vsock_listen(vsock, diag))
		return &vsock->dev;
	vsock_close(&vsock->dev);
	return NULL;

err_conns:
	munmap(vsock->buffers, (size_t)CONN_MAX * CONN_BUFFER);
	free(vsock->conn);
err_vsock:
	free(vsock);
	return NULL;
}

const struct virtio_class vsock_class = {
	.name = "vsock",
	.id = VIRTIO_ID_VSOCK,
	.moves_data = true,
	.options = &vsock_schema,
	.open = vsock_open,
	.serve = vsock_serve,
	.served = vsock_served,
	.reset = vsock_reset,
	.resume = vsock_resume,
	.loaded = vsock_loaded,
	.counters = counters,
	.close = vsock_close,
};
