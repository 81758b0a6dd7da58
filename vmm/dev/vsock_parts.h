/* SPDX-License-Identifier: MIT */
/* vsock_parts.h - what the files that make up vsock.h's device share
 *
 * vsock.c is the device, vsock_host.c the connections and their host's side, vsock_packet.c what is
 * said to and by the guest.  All of it is called with the device's lock held.
 */
#ifndef DEV_VSOCK_PARTS_H
#define DEV_VSOCK_PARTS_H

#include "dev/vsock.h"
#include "dev/vsock_conn.h"
#include "util/listener.h"

#include <linux/virtio_vsock.h>
#include <sys/un.h>

#define N_BUCKETS  256u
#define MAX_STRAYS 64u

enum { QUEUE_RX, QUEUE_TX, QUEUE_EVENT, N_QUEUES };

/* A packet that is for no connection: it is answered by a reset. */
struct stray {
	uint32_t host_port, guest_port;
};

struct vsock {
	struct virtio_dev dev; /* first */
	struct virtio_vsock_config config;
	char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
	struct listener at;
	struct loop_source listener;
	struct loop_source tick; /* timerfd; runs while somebody has a deadline */

	struct conn *conn; /* CONN_MAX; owned */
	uint8_t *buffers;  /* of all; owned */
	struct conn *bucket[N_BUCKETS];
	struct conn *first_ready, *last_ready;
	struct stray stray[MAX_STRAYS];
	unsigned int first_stray, n_strays;
	bool tx_waits;   /* for room among the strays */
	bool owes_reset; /* the guest is to be told that all its streams have ended */
	uint32_t next_port;
	struct iovec data[VIRTQ_MAX_CHAIN]; /* of the packet at hand */

	uint64_t n_packets[2], n_bytes[2]; /* by queue; bytes of data */
	uint64_t n_conns_added, n_conns_removed;
};

/* ---- vsock_host.c ---- */

/* There are some: what is theirs is not touched, and so not there, before. */
bool vsock_has_conns(const struct vsock *vsock);

/* By its two ports; NULL: there is none. */
struct conn *vsock_find(struct vsock *vsock, uint32_t host_port, uint32_t guest_port);

/* A connection of the guest to who listens for this port of the host; NULL if nobody does, or there
 * are too many.
 */
struct conn *vsock_connect(struct vsock *vsock, uint32_t host_port, uint32_t guest_port);

/* The next that may have something for the guest, or NULL. */
struct conn *vsock_take_ready(struct vsock *vsock);

/* It has, or may have. */
void conn_make_ready(struct conn *conn);
bool conn_has_news(const struct conn *conn);
bool conn_may_read(const struct conn *conn);
void conn_tell(struct conn *conn, unsigned int what);

/* Be told when the host's program has taken something, while there is more for it. */
void conn_await_room(struct conn *conn);

/* It has to be answered within PATIENCE. */
void conn_set_deadline(struct conn *conn);

/* All that have one have all of it again: the guest could not answer meanwhile. */
void vsock_renew_deadlines(struct vsock *vsock);

/* It ends: once the guest has been told; or now. */
void conn_reset(struct conn *conn);
void conn_drop(struct conn *conn);

/* The guest sends no more; end it if all that was sent has been passed on. */
void conn_end_if_done(struct conn *conn);

/* The program that listens at `path`, and the timer, into the loop.  -errno, diag. */
int vsock_listen(struct vsock *vsock, struct diag *diag);
void vsock_stop_listening(struct vsock *vsock);

/* ---- vsock_packet.c ---- */

/* The event that all streams have ended (5.10.6.7), for a driver that has a buffer for it. */
int vsock_serve_event(bool *owes_reset, struct virtq *vq, const struct virtq_chain *chain);

int vsock_serve_tx(struct vsock *vsock, struct virtq *vq, const struct virtq_chain *chain);
int vsock_serve_rx(struct vsock *vsock, struct virtq *vq, const struct virtq_chain *chain);

#endif
