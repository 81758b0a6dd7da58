/* SPDX-License-Identifier: MIT */
/* vsock_conn.h - one stream of a vsock device: a socket of the host, and what is to be told
 *
 * Everything here is guarded by the device's lock.  A connection is one of a fixed number, so that
 * neither side makes us allocate; what was told of one that is gone is not for its successor.
 */
#ifndef DEV_VSOCK_CONN_H
#define DEV_VSOCK_CONN_H

#include "loop/loop.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#define CONN_BUFFER 65536u /* bytes of the guest's that wait for the host's program: our credit */
#define CONN_MAX    1024u

enum conn_state {
	CONN_FREE,
	CONN_LINE,      /* the host's program has still to say where to */
	CONN_REQUESTED, /* the guest has been asked */
	CONN_OPEN,
	CONN_DEAD, /* without a socket: the guest has still to be told */
};

/* What the guest is to be told, in this order. */
#define TELL_RST            (1u << 0)
#define TELL_REQUEST        (1u << 1)
#define TELL_RESPONSE       (1u << 2)
#define TELL_SHUTDOWN       (1u << 3)
#define TELL_CREDIT         (1u << 4)
#define TELL_CREDIT_REQUEST (1u << 5)

struct vsock;

struct conn {
	struct vsock *vsock;
	enum conn_state state;
	struct loop_source source; /* edge-triggered; fd -1: none */
	uint32_t host_port, guest_port;
	uint64_t deadline_ms; /* 0: none */

	unsigned int tell;
	bool readable;                  /* the socket may have something */
	bool awaits_room;               /* it is watched for taking more */
	bool hung_up;                   /* the host's program reads no more */
	bool write_ended;               /* and has been told that no more comes */
	uint32_t guest_shut, host_shut; /* VIRTIO_VSOCK_SHUTDOWN_* that was said */

	/* Credit, in bytes since the beginning, modulo 2^32 (5.10.6.3). */
	uint32_t n_from_guest, n_forwarded, n_told; /* received, passed on, and last said to be */
	uint32_t n_to_guest, peer_forwarded, peer_buffer;

	uint8_t *buffer; /* CONN_BUFFER bytes, a ring */
	uint32_t head, n_buffered;

	struct conn *next_port;  /* of the same bucket */
	struct conn *next_ready; /* in the queue of those that have something for the guest */
	bool is_ready;
};

/* What the guest may still be sent. */
static inline uint32_t conn_credit(const struct conn *conn)
{
	uint32_t in_flight = conn->n_to_guest - conn->peer_forwarded;

	return in_flight < conn->peer_buffer ? conn->peer_buffer - in_flight : 0;
}

/* Bytes from the guest: to the host's program, or kept for it.  False: there are more than our
 * credit allows, or nobody takes them.
 */
bool conn_take(struct conn *conn, const struct iovec *iov, unsigned int n, uint32_t size);

/* Pass on what is kept, as much as is taken.  False: nobody takes it. */
bool conn_flush(struct conn *conn);

/* The port of a line "CONNECT <port>\n" at the socket, which is consumed with its end and nothing
 * beyond.  0: not all of it is there; -1: it is no such line, or there is no more.
 */
int conn_read_line(const struct conn *conn, uint32_t *port);

#endif
