/* SPDX-License-Identifier: MIT */
/* http.h - a server of HTTP/1.1: a request comes in, an answer goes out
 *
 * http-parser takes requests apart; what is here says how much of it a client may have: how many
 * connections there are, how large a request is, how long it may take to come.  A connection has
 * one request at a time: the next is read when it has been answered.
 *
 * All functions are called on the loop's thread.
 */
#ifndef API_HTTP_H
#define API_HTTP_H

#include "loop/loop.h"
#include "util/diag.h"

#include <jansson.h>
#include <stddef.h>

#define HTTP_MAX_CLIENTS 64
#define HTTP_MAX_BODY    51200 /* bytes, unless the server's owner says otherwise */
#define HTTP_MAX_HEAD    8192  /* bytes of a request's path and headers */

struct http;
struct http_answer; /* one that is owed to a client */

struct http_request {
	const char *method; /* "GET" */
	const char *path;   /* as the client sent it, without host and query */
	const char *body;   /* not NUL-terminated */
	size_t size;
	const char *headers; /* NAME\0VALUE\0... up to an empty name: see http_header() */
};

struct http_ops {
	/* A request, which stays as long as the call: to be answered now or later, by http_send()
	 * or http_stream().
	 */
	void (*request)(void *ctx, const struct http_request *request, struct http_answer *answer);
	/* Who is owed this, or hears this stream, is gone: it is to be forgotten.  NULL: all is
	 * answered at once.
	 */
	void (*gone)(void *ctx, struct http_answer *answer);
	/* Somebody has been answered who had a tag.  NULL: nobody has one. */
	void (*answered)(void *ctx, unsigned int tag, int status);
};

/* Serve who comes to `fd`, a non-blocking socket that listens, which stays the caller's.  `name` is
 * what the server calls itself.  NULL and diag.
 */
struct http *http_open(struct loop *loop, int fd, const char *name, size_t max_body,
	const struct http_ops *ops, void *ctx, struct diag *diag);
/* Whoever is owed an answer gets none. */
void http_close(struct http *http);

/* "Bad Request" */
const char *http_status_text(int status);

/* The value of a header, by its name in any case; NULL: the request has none. */
const char *http_header(const struct http_request *request, const char *name);

/* What this is an answer to, for http_ops.answered: not 0. */
void http_set_tag(struct http_answer *answer, unsigned int tag);

/* Answer, and have done with it: with JSON, which is taken over, or (NULL) with nothing. */
void http_send(struct http_answer *answer, int status, json_t *json);
/* The same with text of some type, which stays the caller's. */
void http_send_text(struct http_answer *answer, int status, const char *type, const char *text);

/* Answer with lines that come one after the other, until the client leaves or we close.  A client
 * that is slow to read misses some.
 */
void http_stream(struct http_answer *answer);
void http_stream_line(struct http_answer *answer, const char *line);

#endif
