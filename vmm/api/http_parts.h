/* SPDX-License-Identifier: MIT */
/* http_parts.h - a connection of http.h's server, for the files that make up its module: http.c has
 * its life, http_request.c what is read from it
 */
#ifndef API_HTTP_PARTS_H
#define API_HTTP_PARTS_H

#include "api/http.h"

#include <http_parser.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define HTTP_PIECE 4096

struct http_answer {
	struct client *client;
	unsigned int tag;
};

struct client {
	TAILQ_ENTRY(client) next; /* who has been quiet for longest comes first */
	struct http *http;
	struct loop_source socket;
	http_parser parser;
	uint64_t since_ns; /* when the request began that is coming; 0: none is */

	/* What was read and not yet parsed. */
	char in[HTTP_PIECE];
	size_t in_at, n_in;

	/* The request: PATH\0 NAME\0VALUE\0 ... \0 */
	char head[HTTP_MAX_HEAD];
	size_t n_head;
	bool in_value; /* of a header */
	bool is_whole;
	char *body;
	size_t n_body;

	struct http_answer answer;
	bool owes;      /* an answer */
	bool is_stream; /* which goes on and on */
	bool is_last;   /* nothing is read any more: what is left to say, then the end */
	bool is_over;
	bool is_served; /* client_serve() is at work, and will see what is to be done */

	char *out;
	size_t out_at, n_out;
};

TAILQ_HEAD(clients, client);

struct http {
	struct loop *loop;
	const char *name;
	size_t max_body;
	const struct http_ops *ops;
	void *ctx;
	struct loop_source door; /* the socket that listens */
	struct loop_source timer;
	struct clients clients;
	unsigned int n_clients;
};

void client_parser_init(struct client *client);

/* Take apart what was read, to the end of a request at most, which then is asked for or refused. */
void client_parse(struct client *client);

/* Say something, when the loop has come to it. */
void client_put(struct client *client, const void *data, size_t size);

/* Answer a request that nobody is to see, and end the connection. */
void client_refuse(struct client *client, int status, const char *why);

#endif
