// SPDX-License-Identifier: MIT
/* mmds_http.c - as much of HTTP/1.1 as a guest's questions to its metadata service need */

#include "api/mmds_http.h"

#include "util/bits.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define END "\r\n\r\n"

static const char *const field_names[] = {
	[MMDS_TOKEN] = "X-metadata-token",
	[MMDS_EC2_TOKEN] = "X-aws-ec2-metadata-token",
	[MMDS_TTL] = "X-metadata-token-ttl-seconds",
	[MMDS_EC2_TTL] = "X-aws-ec2-metadata-token-ttl-seconds",
	[MMDS_FORWARDED] = "X-Forwarded-For",
};

const char *mmds_http_field(enum mmds_field field)
{
	return field_names[field];
}

/* ---- requests ---- */

static enum mmds_method method_of(const char *word)
{
	static const char *const names[] = { "GET", "PUT", "HEAD" };

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++)
		if (!strcmp(word, names[i]))
			return i;
	return MMDS_OTHER;
}

/* 3.2.1 and 3.2.2; whatever else there may be has no path. */
static const char *path_of(const char *target)
{
	const char *path = target;

	if (!strncasecmp(target, "http://", 7))
		path = strchr(target + 7, '/');
	return path && *path == '/' ? path : "";
}

/* 3: three words, a blank between two of them. */
static int parse_first(char *line, struct mmds_request *request)
{
	char *method = strsep(&line, " "), *target = strsep(&line, " ");

	if (!*method || method[strspn(method, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] || !target ||
		!*target || !line)
		return -EBADMSG;
	if (strcmp(line, "HTTP/1.1") && strcmp(line, "HTTP/1.0"))
		return -EBADMSG;
	request->method = method_of(method);
	request->path = path_of(target);
	request->keeps = !strcmp(line, "HTTP/1.1");
	return 0;
}

/* The first of the list's types that is known decides; parameters do not. */
static bool wants_json(char *list)
{
	for (char *type; (type = strsep(&list, ",")) != NULL;) {
		type += strspn(type, " \t");
		type[strcspn(type, "; \t")] = '\0';
		if (!strcasecmp(type, "application/json"))
			return true;
		if (!strcasecmp(type, "text/plain"))
			return false;
	}
	return false;
}

static bool lists(char *list, const char *word)
{
	for (char *item; (item = strsep(&list, ",")) != NULL;) {
		item += strspn(item, " \t");
		item[strcspn(item, " \t")] = '\0';
		if (!strcasecmp(item, word))
			return true;
	}
	return false;
}

static int take_field(const char *name, char *value, struct mmds_request *request)
{
	if (!strcasecmp(name, "Content-Length")) {
		if (!*value || value[strspn(value, "0123456789")])
			return -EBADMSG;
		request->has_body |= value[strspn(value, "0")] != '\0';
	} else if (!strcasecmp(name, "Transfer-Encoding")) {
		request->has_body = true;
	} else if (!strcasecmp(name, "Connection")) {
		request->keeps &= !lists(value, "close");
	} else if (!strcasecmp(name, "Accept")) {
		request->wants_json = wants_json(value);
	}
	for (unsigned int i = 0; i < MMDS_FIELDS; i++)
		if (!strcasecmp(name, field_names[i]))
			request->field[i] = value;
	return 0;
}

/* 5: no blank before or in the name, any number around the value. */
static int parse_field(char *line, struct mmds_request *request)
{
	char *value = strchr(line, ':'), *end;

	if (!value || value == line || strcspn(line, " \t") < (size_t)(value - line))
		return -EBADMSG;
	*value++ = '\0';
	value += strspn(value, " \t");
	end = value + strlen(value);
	while (end > value && (end[-1] == ' ' || end[-1] == '\t'))
		*--end = '\0';
	return take_field(line, value, request);
}

/* The next line, which is ended by CR LF; NULL: there is none, or it has one of them alone. */
static char *next_line(char **head)
{
	char *line = *head, *end = strstr(line, "\r\n");

	if (!end)
		return NULL;
	*end = '\0';
	*head = end + 2;
	return line[strcspn(line, "\r\n")] ? NULL : line;
}

static int parse_head(char *head, struct mmds_request *request)
{
	char *line = next_line(&head);
	int ret = line ? parse_first(line, request) : -EBADMSG;

	while (!ret && *head) {
		line = next_line(&head);
		ret = line ? parse_field(line, request) : -EBADMSG;
	}
	return ret;
}

ssize_t mmds_http_parse(char *bytes, size_t size, struct mmds_request *request)
{
	char *end = memmem(bytes, size, END, strlen(END));
	size_t whole = end ? (size_t)(end - bytes) + strlen(END) : size;

	*request = (struct mmds_request){ 0 };
	if (whole > MMDS_HTTP_MAX || (!end && whole == MMDS_HTTP_MAX))
		return -EBADMSG;
	if (!end)
		return 0;
	end[2] = '\0'; /* behind the last line's own end */
	if (strlen(bytes) != whole - 2 || parse_head(bytes, request))
		return -EBADMSG;
	return (ssize_t)whole;
}

/* ---- answers ---- */

static const char *reason(int status)
{
	switch (status) {
	case 200: return "OK";
	case 400: return "Bad Request";
	case 401: return "Unauthorized";
	case 404: return "Not Found";
	case 405: return "Method Not Allowed";
	case 501: return "Not Implemented";
	default: return "Internal Server Error";
	}
}

char *mmds_http_render(
	const struct mmds_answer *answer, enum mmds_method method, bool keeps, size_t *size)
{
	const char *body = answer->body ? answer->body : "";
	char ttl[80] = "", *text;
	int n;

	if (answer->ttl_field >= 0)
		snprintf(ttl, sizeof(ttl), "%s: %u\r\n", field_names[answer->ttl_field],
			answer->ttl);
	n = asprintf(&text,
		"HTTP/1.1 %d %s\r\nConnection: %s\r\n%s%sContent-Type: %s\r\nContent-Length: %zu" END
		"%s",
		answer->status, reason(answer->status), keeps ? "keep-alive" : "close",
		answer->tells_allowed ? "Allow: GET, PUT\r\n" : "", ttl,
		answer->is_json ? "application/json" : "text/plain", strlen(body),
		method == MMDS_HEAD ? "" : body);
	*size = n < 0 ? 0 : (size_t)n;
	return n < 0 ? NULL : text;
}
