// SPDX-License-Identifier: MIT
/* mmds_serve.c - the metadata service's connections */

#include "api/mmds_serve.h"

#include "api/mmds_wire.h"
#include "loop/loop.h"
#include "util/bits.h"
#include "util/file.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define TICK_MS 500

/* The order is that of a connection's life; the first is over and over again. */
enum phase { IDLE, READING, WRITING, ENDING };

struct conn {
	struct server *server; /* NULL: this is none */
	struct loop_source source;
	enum phase phase;
	uint64_t since_ns; /* it is in this phase; as fine as that, since it says who came first */
	bool keeps;        /* when the answer is out */
	char in[MMDS_HTTP_MAX];
	size_t n_in;
	char *out; /* owned; the answer, of which [out_at, out_size) is left */
	size_t out_at, out_size;
};

/* Where guests come from. */
struct door {
	struct server *server;
	struct loop_source source; /* a socket that listens */
};

struct server {
	struct loop loop;
	struct mmds_service *service;
	struct loop_source control;
	struct loop_source timer; /* runs while there are connections */
	struct door door[MMDS_MAX_NETS];
	unsigned int n_doors, n_conns;
	bool is_deaf; /* nobody can be let in */
	struct conn conn[MMDS_MAX_CONNECTIONS];
};

/* ---- what is told ---- */

static json_t *read_json(int fd)
{
	struct stat st;
	json_t *value = NULL;
	char *text;

	if (file_stat(fd, &st))
		return NULL;
	text = malloc((size_t)st.st_size + 1);
	if (text && !file_read_at(fd, text, (size_t)st.st_size, 0))
		value = json_loadb(text, (size_t)st.st_size, JSON_DECODE_ANY, NULL);
	free(text);
	return value;
}

/* Who has no memory for it goes on with what was. */
static void change_to(struct mmds_service *service, const struct mmds_change *change, json_t *data)
{
	if (!data)
		return;
	json_decref(service->store.data);
	service->store.data = data;
	service->store.is_imds = change->is_imds;
	service->needs_token = change->needs_token;
}

/* All that has been told so far. */
static void hear(struct server *server)
{
	struct mmds_change change;
	int fds[MMDS_MAX_NETS], ret;
	unsigned int n_fds;

	while ((ret = mmds_wire_receive(server->control.fd, &change, sizeof(change), fds, &n_fds,
			MSG_DONTWAIT)) == 1) {
		if (n_fds == 1)
			change_to(server->service, &change, read_json(fds[0]));
		while (n_fds)
			close(fds[--n_fds]);
	}
	if (ret != -EAGAIN)
		loop_stop(&server->loop);
}

static void control_ready(void *ctx, uint32_t)
{
	hear(ctx);
}

/* ---- connections ---- */

/* Listen, or no longer: who connects then waits in the kernel's queue, a short one. */
static void set_deaf(struct server *server, bool is_deaf)
{
	if (server->is_deaf == is_deaf)
		return;
	server->is_deaf = is_deaf;
	for (unsigned int i = 0; i < server->n_doors; i++)
		loop_change(&server->loop, &server->door[i].source, is_deaf ? 0 : EPOLLIN);
}

/* What is not out is not waited for, neither by us nor by the kernel. */
static void drop(struct conn *conn, bool at_once)
{
	const struct linger none = { .l_onoff = 1 };
	struct server *server = conn->server;

	if (at_once)
		setsockopt(conn->source.fd, SOL_SOCKET, SO_LINGER, &none, sizeof(none));
	loop_remove(&server->loop, &conn->source);
	close(conn->source.fd);
	free(conn->out);
	conn->server = NULL;
	server->service->counters->connections_ended++;
	if (!--server->n_conns)
		loop_timer_set(server->timer.fd, 0, 0);
	set_deaf(server, false);
}

/* A request's time is not prolonged by its parts. */
static void enter(struct conn *conn, enum phase phase)
{
	if (phase != READING || conn->phase != READING)
		conn->since_ns = timeline_now();
	conn->phase = phase;
	loop_change(&conn->server->loop, &conn->source, phase == WRITING ? EPOLLOUT : EPOLLIN);
}

/* What the guest has still sent is taken and forgotten: closed with it unread, the connection would
 * be reset, and the answer with it.
 */
static void end(struct conn *conn)
{
	shutdown(conn->source.fd, SHUT_WR);
	conn->n_in = 0;
	enter(conn, ENDING);
}

/* What there is room for.  When all is out the next may have come already: EPOLLOUT brings us back
 * to it when others had their turn.
 */
static void flush(struct conn *conn)
{
	while (conn->out_at < conn->out_size) {
		ssize_t n = send(conn->source.fd, conn->out + conn->out_at,
			conn->out_size - conn->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);

		if (n < 0 && errno != EAGAIN)
			drop(conn, true);
		if (n < 0)
			return;
		conn->out_at += (size_t)n;
	}
	free(conn->out);
	conn->out = NULL;
	if (!conn->keeps)
		end(conn);
	else if (!conn->n_in)
		enter(conn, IDLE);
}

/* size: of the request in conn->in; -EBADMSG: it is none, and nothing that follows can be read. */
static void answer(struct conn *conn, const struct mmds_request *request, ssize_t size)
{
	struct mmds_service *service = conn->server->service;
	struct mmds_answer answer;

	hear(conn->server); /* what was told before the guest asked */
	answer = mmds_answer(service, size > 0 ? request : NULL, timeline_now());
	conn->keeps = size > 0 && request->keeps && !request->has_body;
	conn->out = mmds_http_render(&answer, request->method, conn->keeps, &conn->out_size);
	conn->out_at = 0;
	free(answer.body);
	if (size > 0) {
		conn->n_in -= (size_t)size;
		memmove(conn->in, conn->in + size, conn->n_in);
	}
	if (!conn->out) {
		drop(conn, true);
		return;
	}
	enter(conn, WRITING);
	flush(conn);
}

static void look(struct conn *conn)
{
	struct mmds_request request;
	ssize_t size = mmds_http_parse(conn->in, conn->n_in, &request);

	if (size)
		answer(conn, &request, size);
	else
		enter(conn, READING);
}

/* Each time one system call's worth. */
static void take(struct conn *conn)
{
	ssize_t n = recv(conn->source.fd, conn->in + conn->n_in, sizeof(conn->in) - conn->n_in,
		MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		drop(conn, n < 0);
		return;
	}
	if (conn->phase == ENDING)
		return;
	conn->n_in += (size_t)n;
	look(conn);
}

static void conn_ready(void *ctx, uint32_t)
{
	struct conn *conn = ctx;

	if (conn->phase != WRITING)
		take(conn);
	else if (conn->out)
		flush(conn);
	else
		look(conn);
}

/* ---- who comes, and who has had time enough ---- */

/* A place; if there is none, that of who has said nothing for longest.  NULL: all have. */
static struct conn *find_place(struct server *server)
{
	struct conn *idle = NULL;

	for (unsigned int i = 0; i < MMDS_MAX_CONNECTIONS; i++) {
		struct conn *conn = &server->conn[i];

		if (!conn->server)
			return conn;
		if (conn->phase == IDLE && (!idle || conn->since_ns < idle->since_ns))
			idle = conn;
	}
	if (idle)
		drop(idle, false);
	return idle;
}

static void let_in(struct server *server, struct conn *conn, int fd)
{
	*conn = (struct conn){
		.server = server,
		.source = { .fd = fd, .ready = conn_ready, .ctx = conn },
		.since_ns = timeline_now(),
	};
	if (loop_add(&server->loop, &conn->source, EPOLLIN)) {
		conn->server = NULL;
		close(fd);
		return;
	}
	server->service->counters->connections_made++;
	if (!server->n_conns++)
		loop_timer_set(server->timer.fd, TICK_MS, TICK_MS);
}

/* One at a time: the socket stays ready while there are more. */
static void door_ready(void *ctx, uint32_t)
{
	struct door *door = ctx;
	struct conn *conn = find_place(door->server);
	int fd;

	if (!conn) {
		set_deaf(door->server, true);
		return;
	}
	fd = accept4(door->source.fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd >= 0)
		let_in(door->server, conn, fd);
}

static void timer_ready(void *ctx, uint32_t)
{
	struct server *server = ctx;
	uint64_t now = timeline_now();

	loop_counter_read(server->timer.fd);
	for (unsigned int i = 0; i < MMDS_MAX_CONNECTIONS; i++) {
		struct conn *conn = &server->conn[i];
		uint64_t most_ms = conn->phase == ENDING ? MMDS_LINGER_MS
		                                         : server->service->patience_ms;

		if (conn->server && now - conn->since_ns >= most_ms * 1000000)
			drop(conn, conn->phase != IDLE);
	}
}

/* ---- the whole ---- */

static int open_doors(struct server *server, const int *fds, unsigned int n)
{
	int ret = 0;

	for (unsigned int i = 0; i < n && !ret; i++) {
		struct door *door = &server->door[server->n_doors++];

		*door = (struct door){
			.server = server,
			.source = { .fd = fds[i], .ready = door_ready, .ctx = door },
		};
		ret = loop_add(&server->loop, &door->source, EPOLLIN);
	}
	return ret;
}

static void close_all(struct server *server)
{
	for (unsigned int i = 0; i < MMDS_MAX_CONNECTIONS; i++)
		if (server->conn[i].server)
			drop(&server->conn[i], true);
	if (server->timer.fd >= 0)
		close(server->timer.fd);
	loop_fini(&server->loop);
}

int mmds_serve(struct mmds_service *service, const int *listen_fds, unsigned int n_listeners,
	int control_fd)
{
	struct server *server = calloc(1, sizeof(*server));
	int ret;

	BUG_ON(n_listeners > MMDS_MAX_NETS);
	if (!server)
		return -ENOMEM;
	server->service = service;
	server->control =
		(struct loop_source){ .fd = control_fd, .ready = control_ready, .ctx = server };
	server->timer = (struct loop_source){ .fd = -1, .ready = timer_ready, .ctx = server };
	ret = loop_init(&server->loop);
	if (ret) {
		free(server);
		return ret;
	}
	ret = loop_add(&server->loop, &server->control, EPOLLIN);
	if (!ret)
		ret = loop_add_timer(&server->loop, &server->timer, 0, 0);
	if (!ret)
		ret = open_doors(server, listen_fds, n_listeners);
	if (!ret)
		ret = loop_run(&server->loop);
	close_all(server);
	free(server);
	return ret;
}
