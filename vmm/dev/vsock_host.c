// SPDX-License-Identifier: MIT
/* vsock_host.c - the connections of a vsock device, and the programs at their host's ends */

#include "dev/vsock_parts.h"
#include "util/error.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#define PORT_FIRST  (1u << 30) /* of the host's ends: above what programs choose */
#define PATIENCE_MS 2000       /* with a guest that is asked for something */
#define TICK_MS     500
#define EVENTS      ((uint32_t)(EPOLLIN | EPOLLRDHUP | EPOLLET))

/* ---- connections ---- */

static struct conn **bucket_of(struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	return &vsock->bucket[(host_port * 31 + guest_port) % N_BUCKETS];
}

struct conn *vsock_find(struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	struct conn *conn = *bucket_of(vsock, host_port, guest_port);

	while (conn && (conn->host_port != host_port || conn->guest_port != guest_port))
		conn = conn->next_port;
	return conn;
}

static void set_ports(struct conn *conn, uint32_t host_port, uint32_t guest_port)
{
	struct conn **bucket = bucket_of(conn->vsock, host_port, guest_port);

	conn->host_port = host_port;
	conn->guest_port = guest_port;
	conn->next_port = *bucket;
	*bucket = conn;
}

static void forget_ports(struct conn *conn)
{
	struct conn **at = bucket_of(conn->vsock, conn->host_port, conn->guest_port);

	while (*at && *at != conn)
		at = &(*at)->next_port;
	if (*at)
		*at = conn->next_port;
}

void conn_set_deadline(struct conn *conn)
{
	conn->deadline_ms = timeline_now_ms() + PATIENCE_MS;
	loop_timer_set(conn->vsock->tick.fd, TICK_MS, TICK_MS);
}

bool vsock_has_conns(const struct vsock *vsock)
{
	return vsock->n_conns_added != vsock->n_conns_removed;
}

void vsock_renew_deadlines(struct vsock *vsock)
{
	for (unsigned int i = 0; i < CONN_MAX && vsock_has_conns(vsock); i++)
		if (vsock->conn[i].state != CONN_FREE && vsock->conn[i].deadline_ms)
			conn_set_deadline(&vsock->conn[i]);
}

/* It has something for the guest: it comes to its turn. */
void conn_make_ready(struct conn *conn)
{
	struct vsock *vsock = conn->vsock;

	if (conn->is_ready)
		return;
	conn->is_ready = true;
	conn->next_ready = NULL;
	if (vsock->first_ready)
		vsock->last_ready->next_ready = conn;
	else
		vsock->first_ready = conn;
	vsock->last_ready = conn;
}

struct conn *vsock_take_ready(struct vsock *vsock)
{
	struct conn *conn = vsock->first_ready;

	if (conn) {
		vsock->first_ready = conn->next_ready;
		conn->is_ready = false;
	}
	return conn;
}

void conn_tell(struct conn *conn, unsigned int what)
{
	conn->tell |= what;
	conn_make_ready(conn);
}

static void close_socket(struct conn *conn)
{
	if (conn->source.fd >= 0)
		close(conn->source.fd);
	conn->source.fd = -1;
	conn->deadline_ms = 0;
}

/* It is nobody's any more; the queue of those that are ready finds it so. */
void conn_drop(struct conn *conn)
{
	counter_add(&conn->vsock->n_conns_removed, conn->state != CONN_FREE);
	close_socket(conn);
	forget_ports(conn);
	conn->state = CONN_FREE;
	conn->tell = 0;
}

/* The guest has still to hear of it. */
void conn_reset(struct conn *conn)
{
	close_socket(conn);
	conn->state = CONN_DEAD;
	conn->tell = 0;
	conn_tell(conn, TELL_RST);
}

/* Watched always, each of its reads would wake us. */
void conn_await_room(struct conn *conn)
{
	bool on = conn->n_buffered;

	if (conn->awaits_room == on || conn->source.fd < 0)
		return;
	conn->awaits_room = on;
	loop_change(
		conn->vsock->dev.env->loop, &conn->source, EVENTS | (on ? (uint32_t)EPOLLOUT : 0));
}

static void conn_ready(void *ctx, uint32_t events);

/* A connection by this socket, which becomes its own.  NULL: there are too many. */
static struct conn *add_conn(struct vsock *vsock, int fd, enum conn_state state)
{
	for (unsigned int i = 0; i < CONN_MAX; i++) {
		struct conn *conn = &vsock->conn[i];

		if (conn->state != CONN_FREE || conn->is_ready)
			continue;
		*conn = (struct conn){
			.vsock = vsock,
			.state = state,
			.source = { fd, conn_ready, conn, &vsock->dev.dev.lock },
			.buffer = vsock->buffers + (size_t)i * CONN_BUFFER,
		};
		if (!loop_add(vsock->dev.env->loop, &conn->source, EVENTS)) {
			counter_add(&vsock->n_conns_added, 1);
			return conn;
		}
		conn->state = CONN_FREE;
		break;
	}
	close(fd);
	return NULL;
}

/* ---- the host's side ---- */

static bool is_driver_there(const struct vsock *vsock)
{
	return vsock->dev.status & VIRTIO_CONFIG_S_DRIVER_OK;
}

/* Ports are given out in order, and come again when four thousand millions have been. */
static uint32_t free_port(struct vsock *vsock, uint32_t guest_port)
{
	do {
		if (++vsock->next_port < PORT_FIRST || vsock->next_port == UINT32_MAX)
			vsock->next_port = PORT_FIRST;
	} while (vsock_find(vsock, vsock->next_port, guest_port));
	return vsock->next_port;
}

/* The host's program says where to.  Who has left amid its line says no more. */
static void read_line(struct conn *conn, bool is_last)
{
	uint32_t port;
	int ret = conn_read_line(conn, &port);

	if (ret == 0 && !is_last)
		return;
	if (ret <= 0 || !is_driver_there(conn->vsock)) {
		close_socket(conn);
		conn->state = CONN_FREE;
		return;
	}
	set_ports(conn, free_port(conn->vsock, port), port);
	conn->state = CONN_REQUESTED;
	conn_set_deadline(conn);
	conn_tell(conn, TELL_REQUEST);
}

/* Whether it has data for the guest, which has room. */
bool conn_may_read(const struct conn *conn)
{
	return conn->state == CONN_OPEN && conn->readable && conn_credit(conn) &&
	       !(conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_RCV);
}

bool conn_has_news(const struct conn *conn)
{
	return conn->tell || conn_may_read(conn);
}

/* The guest sends no more, and what it sent has been passed on. */
void conn_end_if_done(struct conn *conn)
{
	const uint32_t both = VIRTIO_VSOCK_SHUTDOWN_RCV | VIRTIO_VSOCK_SHUTDOWN_SEND;

	if (conn->state != CONN_OPEN || conn->n_buffered)
		return;
	if ((conn->guest_shut & both) == both)
		conn_reset(conn);
	else if (conn->guest_shut & VIRTIO_VSOCK_SHUTDOWN_SEND && !conn->write_ended)
		conn->write_ended = !shutdown(conn->source.fd, SHUT_WR);
}

static void go_on(struct conn *conn, uint32_t events)
{
	conn->readable |= !!(events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	conn->hung_up |= !!(events & (EPOLLHUP | EPOLLERR));
	if (conn->state != CONN_OPEN)
		return;
	if (!conn_flush(conn)) {
		conn_reset(conn);
		return;
	}
	conn_await_room(conn);
	conn_end_if_done(conn);
	if (conn_has_news(conn))
		conn_make_ready(conn);
}

static void conn_ready(void *ctx, uint32_t events)
{
	struct conn *conn = ctx;
	struct vsock *vsock = conn->vsock;

	if (conn->source.fd < 0)
		return;
	if (conn->state == CONN_LINE)
		read_line(conn, events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
	else
		go_on(conn, events);
	virtio_serve(&vsock->dev, virtio_queue(&vsock->dev, QUEUE_RX));
}

static void listener_ready(void *ctx, uint32_t)
{
	struct vsock *vsock = ctx;
	int fd = accept4(vsock->at.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd < 0 && errno != EAGAIN) {
		/* Who calls waits, and we would be told of it again and again. */
		loop_change(vsock->dev.env->loop, &vsock->listener, 0);
		loop_timer_set(vsock->tick.fd, TICK_MS, TICK_MS);
	}
	if (fd < 0)
		return;
	if (is_driver_there(vsock))
		add_conn(vsock, fd, CONN_LINE);
	else
		close(fd);
}

/* A guest that does not answer, or does not let go. */
static void tick_ready(void *ctx, uint32_t)
{
	struct vsock *vsock = ctx;
	uint64_t now = timeline_now_ms();
	bool any = false;

	loop_counter_read(vsock->tick.fd);
	loop_change(vsock->dev.env->loop, &vsock->listener, EPOLLIN);
	for (unsigned int i = 0; i < CONN_MAX; i++) {
		struct conn *conn = &vsock->conn[i];

		if (conn->state == CONN_FREE || !conn->deadline_ms)
			continue;
		if (conn->deadline_ms <= now)
			conn_reset(conn);
		else
			any = true;
	}
	if (!any)
		loop_timer_set(vsock->tick.fd, 0, 0);
	virtio_serve(&vsock->dev, virtio_queue(&vsock->dev, QUEUE_RX));
}

/* Connect to who listens for this port of the host, without waiting. */
static int connect_to(const struct vsock *vsock, uint32_t port)
{
	struct sockaddr_un addr = { .sun_family = AF_UNIX };
	int n = snprintf(addr.sun_path, sizeof(addr.sun_path), "%s_%u", vsock->path, port);
	int fd;

	if (n >= (int)sizeof(addr.sun_path))
		return -1;
	if (vsock->dev.env->connect)
		return vsock->dev.env->connect(vsock->dev.env->ctx, addr.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd >= 0 && connect(fd, (const struct sockaddr *)&addr, sizeof(addr))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

struct conn *vsock_connect(struct vsock *vsock, uint32_t host_port, uint32_t guest_port)
{
	int fd = connect_to(vsock, host_port);
	struct conn *conn = fd < 0 ? NULL : add_conn(vsock, fd, CONN_OPEN);

	if (conn)
		set_ports(conn, host_port, guest_port);
	return conn;
}

/* ---- where they come from ---- */

static int listen_at_path(struct vsock *vsock, struct diag *diag)
{
	int ret = listener_open(&vsock->at, vsock->path, SOMAXCONN);

	if (ret == -EADDRINUSE)
		return diag_fail(diag, EADDRINUSE,
			"%s: is there already; remove it, or end the VM that listens there",
			vsock->path);
	return ret ? diag_fail(diag, -ret, "%s: cannot listen: %s", vsock->path, error_text(-ret))
	           : 0;
}

int vsock_listen(struct vsock *vsock, struct diag *diag)
{
	struct loop *loop = vsock->dev.env->loop;
	pthread_mutex_t *lock = &vsock->dev.dev.lock;
	int ret;

	vsock->tick = (struct loop_source){ -1, tick_ready, vsock, lock };
	ret = listen_at_path(vsock, diag);
	if (ret)
		return ret;
	vsock->listener = (struct loop_source){ vsock->at.fd, listener_ready, vsock, lock };
	ret = loop_add_timer(loop, &vsock->tick, 0, 0);
	if (!ret)
		ret = loop_add(loop, &vsock->listener, EPOLLIN);
	return ret ? diag_fail(diag, -ret, "epoll: %s", error_text(-ret)) : 0;
}

void vsock_stop_listening(struct vsock *vsock)
{
	listener_close(&vsock->at);
	if (vsock->tick.fd >= 0)
		close(vsock->tick.fd);
}
