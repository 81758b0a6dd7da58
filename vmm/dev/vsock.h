/* SPDX-License-Identifier: MIT */
/* vsock.h - virtio-vsock: streams between programs of the guest and of the host
 *
 * Source: virtio 1.2, 5.10.  Without a path the host's kernel serves it (vsock_vhost.h).  With one
 * a stream is a unix socket on the host, by the scheme that Firecracker has:
 *
 * - a program of the host connects to PATH, says "CONNECT <port>\n", and hears "OK <port>\n" when a
 *   program of the guest that listens there has accepted; else its connection ends;
 * - a program of the guest that connects to port N of the host (CID 2) reaches whoever listens on
 *   PATH_N.
 */
#ifndef DEV_VSOCK_H
#define DEV_VSOCK_H

#include "util/schema.h"
#include "virtio/virtio.h"

struct vsock_options {
	char *path;   /* NULL: the host's kernel has the streams */
	uint32_t cid; /* of the guest */
};

extern const struct schema vsock_schema; /* of a struct vsock_options */
extern const struct virtio_class vsock_class;

#endif
