// SPDX-License-Identifier: MIT
/* mmds_answer.c - what the metadata service says to a request
 *
 * The sentences are those that clients of Firecracker's know.
 */

#include "api/mmds_answer.h"

#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define TOKEN_PATH "/latest/api/token"

__attribute__((format(printf, 2, 3))) static struct mmds_answer say(
	int status, const char *fmt, ...)
{
	struct mmds_answer answer = { .status = status, .ttl_field = -1 };
	va_list args;

	va_start(args, fmt);
	if (vasprintf(&answer.body, fmt, args) < 0)
		answer.body = NULL;
	va_end(args);
	return answer;
}

/* Of the two names that each field has, the one that was used; -1: neither. */
static int used(const struct mmds_request *request, int field, int ec2_field)
{
	if (request->field[field])
		return field;
	return request->field[ec2_field] ? ec2_field : -1;
}

static struct mmds_answer get_value(
	const struct mmds_service *service, const struct mmds_request *request)
{
	struct mmds_answer answer = { .status = 200, .ttl_field = -1 };
	int ret = mmds_store_find(
		&service->store, request->path, request->wants_json, &answer.body);

	answer.is_json = request->wants_json && !service->store.is_imds;
	if (ret == -ENOENT)
		return say(404, "Resource not found: %s.", request->path);
	if (ret == -EOPNOTSUPP)
		return say(501, "Cannot retrieve value. The value has an unsupported type.");
	return ret ? say(500, "Out of memory.") : answer;
}

static struct mmds_answer get(
	struct mmds_service *service, const struct mmds_request *request, uint64_t now_ns)
{
	int field = used(request, MMDS_TOKEN, MMDS_EC2_TOKEN);

	if (field < 0) {
		service->counters->no_token++;
		if (service->needs_token)
			return say(401,
				"No MMDS token provided. Use `X-metadata-token` or `X-aws-ec2-metadata-token` header to specify the session token.");
	} else if (!mmds_token_is_valid(&service->tokens, request->field[field], now_ns)) {
		service->counters->invalid_token++;
		if (service->needs_token)
			return say(401, "MMDS token not valid.");
	}
	return get_value(service, request);
}

/* false: it is no number, or none of 32 bits. */
static bool read_ttl(const char *text, uint32_t *ttl)
{
	char *end;
	unsigned long value;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	value = strtoul(text, &end, 10);
	*ttl = (uint32_t)value;
	return !*end && !errno && value <= UINT32_MAX;
}

static struct mmds_answer make_token(
	struct mmds_service *service, const struct mmds_request *request, uint64_t now_ns)
{
	int field = used(request, MMDS_TTL, MMDS_EC2_TTL), ret;
	char text[MMDS_TOKEN_SIZE + 1];
	struct mmds_answer answer;
	uint32_t ttl;

	if (field < 0)
		return say(400,
			"Token time to live value not found. Use `X-metadata-token-ttl-seconds` or `X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's lifetime.");
	if (!read_ttl(request->field[field], &ttl))
		return say(400, "Invalid header. Reason: Invalid value. Key:%s; Value:%s",
			mmds_http_field((enum mmds_field)field), request->field[field]);
	ret = mmds_token_make(&service->tokens, ttl, now_ns, text);
	if (ret == -EINVAL)
		return say(400,
			"Invalid time to live value provided for token: %u. Please provide a value between %u and %u.",
			ttl, MMDS_MIN_TTL, MMDS_MAX_TTL);
	if (ret)
		return say(500, "No random bytes: %s.", error_text(-ret));
	answer = say(200, "%s", text);
	answer.ttl_field = field;
	answer.ttl = ttl;
	return answer;
}

/* Several slashes are one, as in what mmds_store_find() takes. */
static bool is_token_path(const char *path)
{
	const char *want = TOKEN_PATH;

	for (; *path; path++)
		if (*path == '/' && path[1] == '/')
			continue;
		else if (*path != *want++)
			return false;
	return !*want;
}

/* A proxy that was talked into a request for somebody else adds the field that is refused. */
static struct mmds_answer put(
	struct mmds_service *service, const struct mmds_request *request, uint64_t now_ns)
{
	if (request->field[MMDS_FORWARDED])
		return say(400, "Invalid header. Reason: Unsupported header name. Key: %s",
			mmds_http_field(MMDS_FORWARDED));
	if (!is_token_path(request->path))
		return say(404, "Resource not found: %s.", request->path);
	return make_token(service, request, now_ns);
}

struct mmds_answer mmds_answer(
	struct mmds_service *service, const struct mmds_request *request, uint64_t now_ns)
{
	struct mmds_answer answer;

	service->counters->requests++;
	if (!request || request->has_body)
		return say(400, "Invalid request.");
	if (!*request->path)
		return say(400, "Invalid URI.");
	if (request->method == MMDS_GET)
		return get(service, request, now_ns);
	if (request->method == MMDS_PUT)
		return put(service, request, now_ns);
	answer = say(405, "Not allowed HTTP method.");
	answer.tells_allowed = true;
	return answer;
}
