// SPDX-License-Identifier: MIT
/* http_request.c - what a client sends, taken apart by http-parser */

#include "api/http_parts.h"
#include "util/timeline.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define BAD_REQUEST 400

/* ---- what is heard ---- */

static struct client *client_of(http_parser *parser)
{
	return parser->data;
}

static int add_to_head(struct client *client, const char *text, size_t size)
{
	/* Two more bytes end it. */
	if (size > sizeof(client->head) - 2 - client->n_head)
		return -1;
	memcpy(client->head + client->n_head, text, size);
	client->n_head += size;
	return 0;
}

static int on_begin(http_parser *parser)
{
	struct client *client = client_of(parser);

	client->n_head = client->n_body = 0;
	client->in_value = false;
	client->since_ns = timeline_now();
	return 0;
}

static int on_url(http_parser *parser, const char *text, size_t size)
{
	return add_to_head(client_of(parser), text, size);
}

static int on_field(http_parser *parser, const char *text, size_t size)
{
	struct client *client = client_of(parser);

	/* A NUL ends the path, or the value of the header before. */
	if ((client->in_value || !memchr(client->head, 0, client->n_head)) &&
		add_to_head(client, "", 1))
		return -1;
	client->in_value = false;
	return add_to_head(client, text, size);
}

static int on_value(http_parser *parser, const char *text, size_t size)
{
	struct client *client = client_of(parser);

	if (!client->in_value && add_to_head(client, "", 1))
		return -1;
	client->in_value = true;
	return add_to_head(client, text, size);
}

static const char *headers_of(const struct client *client)
{
	return client->head + strlen(client->head) + 1;
}

/* A client that asks whether to go on is told so, unless the body will be too large. */
static int on_headers(http_parser *parser)
{
	struct client *client = client_of(parser);
	struct http_request request;
	const char *expect;

	memset(client->head + client->n_head, 0, 2);
	request.headers = headers_of(client);
	expect = http_header(&request, "Expect");
	if (expect && !strcasecmp(expect, "100-continue") &&
		(parser->content_length == UINT64_MAX ||
			parser->content_length <= client->http->max_body))
		client_put(client, "HTTP/1.1 100 Continue\r\n\r\n", 25);
	return 0;
}

/* Of what is too large the size is kept, and the bytes are not. */
static int on_body(http_parser *parser, const char *data, size_t size)
{
	struct client *client = client_of(parser);
	size_t max = client->http->max_body;

	if (!client->body)
		client->body = malloc(max);
	if (!client->body)
		return -1;
	if (client->n_body < max)
		memcpy(client->body + client->n_body, data,
			size < max - client->n_body ? size : max - client->n_body);
	client->n_body += size;
	return 0;
}

static int on_complete(http_parser *parser)
{
	struct client *client = client_of(parser);

	client->is_whole = true;
	client->since_ns = 0;
	http_parser_pause(parser, 1);
	return 0;
}

static const http_parser_settings parser_settings = {
	.on_message_begin = on_begin,
	.on_url = on_url,
	.on_header_field = on_field,
	.on_header_value = on_value,
	.on_headers_complete = on_headers,
	.on_body = on_body,
	.on_message_complete = on_complete,
};

/* ---- a request ---- */

void client_refuse(struct client *client, int status, const char *why)
{
	client->owes = true;
	client->is_last = true;
	http_send(&client->answer, status, json_pack("{s:s}", "error", why));
}

static void refuse_body(struct client *client)
{
	char text[256];

	snprintf(text, sizeof(text),
		"Request payload with size %zu is larger than the limit of %zu allowed by "
		"server.\nAll previous unanswered requests will be dropped.",
		client->n_body, client->http->max_body);
	client_refuse(client, BAD_REQUEST, text);
}

/* Of http://host/path?query the path. */
static char *find_path(char *url)
{
	struct http_parser_url parts;
	size_t at, len;

	http_parser_url_init(&parts);
	if (http_parser_parse_url(url, strlen(url), 0, &parts) ||
		!(parts.field_set & (1 << UF_PATH)))
		return url;
	at = parts.field_data[UF_PATH].off;
	len = parts.field_data[UF_PATH].len;
	url[at + len] = 0;
	return url + at;
}

static void client_request(struct client *client)
{
	struct http *http = client->http;
	struct http_request request = {
		.method = http_method_str((enum http_method)client->parser.method),
		.body = client->body,
		.size = client->n_body,
		.headers = headers_of(client),
	};

	client->is_whole = false;
	if (client->n_body > http->max_body) {
		refuse_body(client);
		return;
	}
	/* Clients of Firecracker speak HTTP/1.0 as well, and go on. */
	client->is_last = client->parser.flags & F_CONNECTION_CLOSE;
	client->owes = true;
	request.path = find_path(client->head);
	http->ops->request(http->ctx, &request, &client->answer);
}

void client_parse(struct client *client)
{
	enum http_errno error;

	client->in_at += http_parser_execute(&client->parser, &parser_settings,
		client->in + client->in_at, client->n_in - client->in_at);
	error = HTTP_PARSER_ERRNO(&client->parser);
	if (error == HPE_PAUSED)
		http_parser_pause(&client->parser, 0);
	if (client->is_whole)
		client_request(client);
	else if (error != HPE_OK)
		client_refuse(client, BAD_REQUEST, http_errno_description(error));
}

/* ---- its headers ---- */

const char *http_header(const struct http_request *request, const char *name)
{
	const char *at = request->headers;

	while (*at) {
		const char *value = at + strlen(at) + 1;

		if (!strcasecmp(at, name))
			return value;
		at = value + strlen(value) + 1;
	}
	return NULL;
}

void client_parser_init(struct client *client)
{
	http_parser_init(&client->parser, HTTP_REQUEST);
	client->parser.data = client;
}
