/* SPDX-License-Identifier: MIT */
/* mmds_http.h - as much of HTTP/1.1 as a guest's questions to its metadata service need
 *
 * Source: RFC 9112.  Nobody who asks sends a body, so none is read: a request that announces one
 * is answered, and the connection closed.  There is no state and no allocation but an answer's.
 */
#ifndef API_MMDS_HTTP_H
#define API_MMDS_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MMDS_HTTP_MAX 4096 /* bytes of a request, its empty line too */

enum mmds_method { MMDS_GET, MMDS_PUT, MMDS_HEAD, MMDS_OTHER };

/* The names in this order are those of mmds_http_field(). */
enum mmds_field { MMDS_TOKEN, MMDS_EC2_TOKEN, MMDS_TTL, MMDS_EC2_TTL, MMDS_FORWARDED, MMDS_FIELDS };

/* Its texts lie in the bytes that were parsed. */
struct mmds_request {
	enum mmds_method method;
	const char *path;               /* absolute; "": none was given */
	const char *field[MMDS_FIELDS]; /* NULL: not there */
	bool wants_json;                /* rather than plain text */
	bool has_body;
	bool keeps; /* the connection, for another */
};

struct mmds_answer {
	int status;
	bool is_json;
	bool tells_allowed; /* the methods that there are */
	int ttl_field;      /* enum mmds_field, to be told with `ttl`; -1: none */
	uint32_t ttl;
	char *body; /* owned; NULL: no memory for one */
};

/* A field's name. */
const char *mmds_http_field(enum mmds_field field);

/* The request that begins at `bytes`, which are changed if it is whole: its size; 0: it is not
 * whole; -EBADMSG: it is none, or longer than MMDS_HTTP_MAX.
 */
ssize_t mmds_http_parse(char *bytes, size_t size, struct mmds_request *request);

/* The answer as it goes out, the caller's to free, and its size.  NULL: no memory. */
char *mmds_http_render(
	const struct mmds_answer *answer, enum mmds_method method, bool keeps, size_t *size);

#endif
