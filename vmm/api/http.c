// SPDX-License-Identifier: MIT
/* http.c - a server of HTTP/1.1 */

#include "api/http.h"

#include "api/http_parts.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"
#include "util/timeline.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define LOOK_MS     5000  /* between two looks for slow senders */
#define MOST_MS     30000 /* for a request to come, from its first byte */
#define MOST_UNREAD 65536 /* bytes of a stream that its client is slow to read */

#define REQUEST_TIMEOUT 408

/* ---- its end ---- */

static void client_free(struct client *client)
{
	struct http *http = client->http;

	if (client->owes && http->ops->gone)
		http->ops->gone(http->ctx, &client->answer);
	TAILQ_REMOVE(&http->clients, client, next);
	if (!--http->n_clients)
		loop_timer_set(http->timer.fd, 0, 0);
	loop_remove(http->loop, &client->socket);
	close(client->socket.fd);
	free(client->body);
	free(client->out);
	free(client);
}

/* ---- what is said ---- */

void client_put(struct client *client, const void *data, size_t size)
{
	char *more;

	if (client->is_over || !size)
		return;
	more = realloc(client->out, client->n_out + size);
	if (!more) {
		client->is_over = true;
		return;
	}
	memcpy(more + client->n_out, data, size);
	client->out = more;
	client->n_out += size;
}

__attribute__((format(printf, 2, 3))) static void client_print(
	struct client *client, const char *fmt, ...)
{
	char text[1024];
	va_list args;
	int n;

	va_start(args, fmt);
	n = vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	BUG_ON(n < 0 || (size_t)n >= sizeof(text));
	client_put(client, text, (size_t)n);
}

static void client_flush(struct client *client)
{
	while (!client->is_over && client->out_at < client->n_out) {
		ssize_t n = send(client->socket.fd, client->out + client->out_at,
			client->n_out - client->out_at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0)
			client->is_over = true;
		else
			client->out_at += (size_t)n;
	}
	client->out_at = client->n_out = 0;
	if (client->is_last && !client->owes)
		client->is_over = true;
}

static bool is_heard(const struct client *client)
{
	return !client->owes && !client->is_last && !client->is_over &&
	       client->out_at == client->n_out;
}

/* Who does not take answers is asked for no more requests. */
static void client_watch(struct client *client)
{
	uint32_t events = client->out_at < client->n_out ? EPOLLOUT : 0;

	if (is_heard(client) || client->is_stream)
		events |= EPOLLIN | EPOLLRDHUP;
	loop_change(client->http->loop, &client->socket, events);
}

/* ---- a connection ---- */

static void client_read(struct client *client)
{
	ssize_t n = recv(client->socket.fd, client->in, sizeof(client->in), MSG_DONTWAIT);

	client->in_at = 0;
	client->n_in = n > 0 ? (size_t)n : 0;
	/* A half-closed connection is still owed what it has asked for. */
	if (n == 0 && !client->owes && !client->n_out)
		client->is_over = true;
	else if (n == 0)
		client->is_last = true;
	else if (n < 0 && errno != EAGAIN && errno != EINTR)
		client->is_over = true;
	/* A stream's client has nothing more to say, until it leaves. */
	if (client->is_stream) {
		client->n_in = 0;
		client->is_over |= n == 0;
	}
}

/* What has been read, request after request, until an answer is owed. */
static void client_serve(struct client *client)
{
	client->is_served = true;
	client_flush(client);
	while (is_heard(client) && client->in_at < client->n_in) {
		client_parse(client);
		client_flush(client);
	}
	client->is_served = false;
	if (client->is_over)
		client_free(client);
	else
		client_watch(client);
}

/* What a client has asked for before it left is still done. */
static void client_ready(void *ctx, uint32_t events)
{
	struct client *client = ctx;

	if ((is_heard(client) || client->is_stream) && events & ~(uint32_t)EPOLLOUT)
		client_read(client);
	else if (events & (EPOLLERR | EPOLLHUP))
		client->is_over = true;
	TAILQ_REMOVE(&client->http->clients, client, next);
	TAILQ_INSERT_TAIL(&client->http->clients, client, next);
	client_serve(client);
}

/* ---- answers ---- */

/* The answer is given: the connection's next request may come. */
static void settle(struct client *client)
{
	client->owes = false;
	if (!client->is_served)
		client_serve(client);
}

const char *http_status_text(int status)
{
	return http_status_str((enum http_status)status);
}

static void begin_answer(struct client *client, int status)
{
	client_print(client, "HTTP/1.1 %d %s\r\nServer: %s\r\nConnection: %s\r\n", status,
		http_status_text(status), client->http->name,
		client->is_last ? "close" : "keep-alive");
}

void http_set_tag(struct http_answer *answer, unsigned int tag)
{
	answer->tag = tag;
}

void http_send_text(struct http_answer *answer, int status, const char *type, const char *text)
{
	struct client *client = answer->client;
	const struct http *http = client->http;
	size_t size = text ? strlen(text) : 0;

	if (answer->tag && http->ops->answered)
		http->ops->answered(http->ctx, answer->tag, status);
	answer->tag = 0;
	begin_answer(client, status);
	if (text)
		client_print(client, "Content-Type: %s\r\nContent-Length: %zu\r\n", type, size);
	client_put(client, "\r\n", 2);
	client_put(client, text, size);
	settle(client);
}

void http_send(struct http_answer *answer, int status, json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;

	json_decref(json);
	http_send_text(answer, status, "application/json", text);
	free(text);
}

void http_stream(struct http_answer *answer)
{
	struct client *client = answer->client;

	begin_answer(client, HTTP_STATUS_OK);
	client_print(client, "Content-Type: application/x-ndjson\r\n"
			     "Transfer-Encoding: chunked\r\n\r\n");
	client->is_stream = true;
	client->is_last = false;
	client->in_at = client->n_in = 0;
	if (!client->is_served)
		client_serve(client);
}

void http_stream_line(struct http_answer *answer, const char *line)
{
	struct client *client = answer->client;
	size_t size = strlen(line) + 1;

	if (client->n_out - client->out_at > MOST_UNREAD)
		return;
	client_print(client, "%zx\r\n", size);
	client_put(client, line, size - 1);
	client_put(client, "\n\r\n", 3);
	/* Who finds it gone is the loop, lest it vanish under the caller's hands. */
	client_flush(client);
	client_watch(client);
}

/* ---- who comes, and who stays away ---- */

/* Of those that are owed nothing, who has been quiet for longest makes room. */
static bool make_room(struct http *http)
{
	struct client *client;

	if (http->n_clients < HTTP_MAX_CLIENTS)
		return true;
	TAILQ_FOREACH(client, &http->clients, next)
	if (!client->owes && !client->since_ns)
		break;
	if (client)
		client_free(client);
	return client;
}

static void turn_away(int fd)
{
	static const char text[] = "HTTP/1.1 503 Service Unavailable\r\n"
				   "Connection: close\r\n"
				   "Content-Type: application/json\r\n"
				   "Content-Length: 40\r\n\r\n"
				   "{ \"error\": \"Too many open connections\" }";

	(void)send(fd, text, sizeof(text) - 1, MSG_NOSIGNAL | MSG_DONTWAIT);
	close(fd);
}

static void welcome(struct http *http, int fd)
{
	struct client *client = make_room(http) ? calloc(1, sizeof(*client)) : NULL;

	if (!client) {
		turn_away(fd);
		return;
	}
	client->http = http;
	client->socket = (struct loop_source){ fd, client_ready, client, NULL };
	client->answer.client = client;
	client_parser_init(client);
	if (loop_add(http->loop, &client->socket, EPOLLIN | EPOLLRDHUP)) {
		turn_away(fd);
		free(client);
		return;
	}
	TAILQ_INSERT_TAIL(&http->clients, client, next);
	if (!http->n_clients++)
		loop_timer_set(http->timer.fd, LOOK_MS, LOOK_MS);
}

static void door_ready(void *ctx, uint32_t)
{
	struct http *http = ctx;
	int fd = accept4(http->door.fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	if (fd >= 0)
		welcome(http, fd);
}

static void timer_ready(void *ctx, uint32_t)
{
	struct http *http = ctx;
	uint64_t now = timeline_now();
	struct client *client, *next;

	loop_counter_read(http->timer.fd);
	for (client = TAILQ_FIRST(&http->clients); client; client = next) {
		next = TAILQ_NEXT(client, next);
		if (client->owes || !client->since_ns ||
			now - client->since_ns < MOST_MS * UINT64_C(1000000))
			continue;
		client->since_ns = 0;
		client_refuse(client, REQUEST_TIMEOUT, "the request took too long to come");
	}
}

/* ---- */

struct http *http_open(struct loop *loop, int fd, const char *name, size_t max_body,
	const struct http_ops *ops, void *ctx, struct diag *diag)
{
	struct http *http = calloc(1, sizeof(*http));
	int ret;

	if (!http) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	*http = (struct http){
		.loop = loop,
		.name = name,
		.max_body = max_body,
		.ops = ops,
		.ctx = ctx,
		.door = { fd, door_ready, http, NULL },
		.timer = { -1, timer_ready, http, NULL },
		.clients = TAILQ_HEAD_INITIALIZER(http->clients),
	};
	ret = loop_add_timer(loop, &http->timer, 0, 0);
	if (!ret)
		ret = loop_add(loop, &http->door, EPOLLIN);
	if (!ret)
		return http;
	diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
	if (http->timer.fd >= 0)
		close(http->timer.fd);
	free(http);
	return NULL;
}

void http_close(struct http *http)
{
	struct client *client, *next;

	if (!http)
		return;
	for (client = TAILQ_FIRST(&http->clients); client; client = next) {
		next = TAILQ_NEXT(client, next);
		if (client->is_stream)
			client_put(client, "0\r\n\r\n", 5);
		client_flush(client);
		client_free(client);
	}
	loop_remove(http->loop, &http->door);
	close(http->timer.fd);
	free(http);
}
