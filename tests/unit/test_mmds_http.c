// SPDX-License-Identifier: MIT
/* test_mmds_http.c - requests to the metadata service, and what it says to them */

#include "api/mmds_answer.h"
#include "util/bits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define S UINT64_C(1000000000)
#define NO_TOKEN                                                                        \
	"No MMDS token provided. Use `X-metadata-token` or `X-aws-ec2-metadata-token` " \
	"header to specify the session token."
#define NO_TTL                                                                    \
	"Token time to live value not found. Use `X-metadata-token-ttl-seconds` " \
	"or `X-aws-ec2-metadata-token-ttl-seconds` header to specify the token's lifetime."

/* ---- requests ---- */

static ssize_t parse(char *bytes, const char *text, struct mmds_request *request)
{
	stpcpy(bytes, text);
	return mmds_http_parse(bytes, strlen(text), request);
}

static void test_request(void **state)
{
	static const char text[] = "GET /a//b?c HTTP/1.1\r\n"
				   "Host: 169.254.169.254\r\n"
				   "x-METADATA-token:\t abc \t\r\n"
				   "X-aws-ec2-metadata-token-ttl-seconds: 60\r\n"
				   "Content-Length: 0\r\n"
				   "Accept: application/json\r\n"
				   "\r\n";
	struct mmds_request request;
	char bytes[sizeof(text) + 10];

	for (size_t i = 0; i < strlen(text); i++) {
		stpcpy(bytes, text);
		assert_int_equal(mmds_http_parse(bytes, i, &request), 0);
		assert_string_equal(bytes, text);
	}
	stpcpy(bytes, text);
	stpcpy(bytes + strlen(text), "PUT /more");
	assert_int_equal(mmds_http_parse(bytes, strlen(bytes), &request), strlen(text));
	assert_int_equal(request.method, MMDS_GET);
	assert_string_equal(request.path, "/a//b?c");
	assert_string_equal(request.field[MMDS_TOKEN], "abc");
	assert_null(request.field[MMDS_EC2_TOKEN]);
	assert_null(request.field[MMDS_TTL]);
	assert_string_equal(request.field[MMDS_EC2_TTL], "60");
	assert_null(request.field[MMDS_FORWARDED]);
	assert_true(request.wants_json);
	assert_false(request.has_body);
	assert_true(request.keeps);
	assert_string_equal(bytes + strlen(text), "PUT /more");
}

static void test_targets(void **state)
{
	static const char *const cases[][2] = {
		{ "/", "/" },
		{ "http://169.254.169.254/x/y", "/x/y" },
		{ "HTTP://h:80//", "//" },
		{ "http://169.254.169.254", "" },
		{ "http://", "" },
		{ "*", "" },
		{ "x/y", "" },
		{ "ftp://h/x", "" },
	};
	struct mmds_request request;
	char text[100], bytes[100];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		sprintf(text, "PUT %s HTTP/1.0\r\n\r\n", cases[i][0]);
		assert_int_equal(parse(bytes, text, &request), strlen(text));
		assert_int_equal(request.method, MMDS_PUT);
		assert_string_equal(request.path, cases[i][1]);
		assert_false(request.keeps);
	}
}

static void test_methods(void **state)
{
	static const struct {
		const char *name;
		enum mmds_method method;
	} cases[] = { { "GET", MMDS_GET }, { "PUT", MMDS_PUT }, { "HEAD", MMDS_HEAD },
		{ "PATCH", MMDS_OTHER }, { "GETS", MMDS_OTHER }, { "G", MMDS_OTHER } };
	struct mmds_request request;
	char text[100], bytes[100];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		sprintf(text, "%s / HTTP/1.1\r\n\r\n", cases[i].name);
		assert_int_equal(parse(bytes, text, &request), strlen(text));
		assert_int_equal(request.method, cases[i].method);
	}
}

static void test_fields(void **state)
{
	static const struct {
		const char *field;
		bool wants_json, has_body, keeps;
	} cases[] = {
		{ "Accept: application/json", true, false, true },
		{ "Accept:Application/JSON;q=0.5", true, false, true },
		{ "Accept: image/png, application/json , text/plain", true, false, true },
		{ "Accept: text/plain, application/json", false, false, true },
		{ "Accept: */*", false, false, true },
		{ "Accept: application/jsonp", false, false, true },
		{ "Accept:", false, false, true },
		{ "Content-Length: 00", false, false, true },
		{ "Content-Length: 1", false, true, true },
		{ "content-length:\t99999999999999999999999", false, true, true },
		{ "Transfer-Encoding: chunked", false, true, true },
		{ "Connection: close", false, false, false },
		{ "Connection: foo,\tCLOSE ,bar", false, false, false },
		{ "Connection: closed", false, false, true },
		{ "Connection: keep-alive", false, false, true },
		{ "Connections: close", false, false, true },
	};
	struct mmds_request request;
	char text[200], bytes[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		sprintf(text, "GET / HTTP/1.1\r\n%s\r\n\r\n", cases[i].field);
		assert_int_equal(parse(bytes, text, &request), strlen(text));
		assert_int_equal(request.wants_json, cases[i].wants_json);
		assert_int_equal(request.has_body, cases[i].has_body);
		assert_int_equal(request.keeps, cases[i].keeps);
	}
}

static void test_no_requests(void **state)
{
	static const char *const cases[] = {
		"\r\n\r\n",
		"GET\r\n\r\n",
		"GET /\r\n\r\n",
		"GET  / HTTP/1.1\r\n\r\n",
		"GET / HTTP/1.1 \r\n\r\n",
		"GET / x HTTP/1.1\r\n\r\n",
		" GET / HTTP/1.1\r\n\r\n",
		"get / HTTP/1.1\r\n\r\n",
		"GET / HTTP/2.0\r\n\r\n",
		"GET / http/1.1\r\n\r\n",
		"GET / HTTP/1.1\n\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept\r\n\r\n",
		"GET / HTTP/1.1\r\n: x\r\n\r\n",
		"GET / HTTP/1.1\r\n folded: x\r\n\r\n",
		"GET / HTTP/1.1\r\nAccept : x\r\n\r\n",
		"GET / HTTP/1.1\r\na: b\nc: d\r\n\r\n",
		"GET / HTTP/1.1\r\na: b\rc: d\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length:\r\n\r\n",
		"GET / HTTP/1.1\r\nContent-Length: 1 0\r\n\r\n",
	};
	struct mmds_request request;
	char bytes[200];

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(parse(bytes, cases[i], &request), -EBADMSG);
	memcpy(bytes, "GET /\0 HTTP/1.1\r\n\r\n", 19);
	assert_int_equal(mmds_http_parse(bytes, 19, &request), -EBADMSG);
}

/* Also one that might still come to its end, and one that others follow. */
static void test_too_long(void **state)
{
	struct mmds_request request;
	char bytes[MMDS_HTTP_MAX + 1];

	for (int more = -1; more < 2; more++) {
		size_t size = (size_t)(MMDS_HTTP_MAX + more);

		memset(bytes, 'a', sizeof(bytes));
		memcpy(bytes, "GET /", 5);
		memcpy(bytes + size - 13, " HTTP/1.1\r\n\r\n", 13);
		assert_int_equal(
			mmds_http_parse(bytes, size, &request), more > 0 ? -EBADMSG : (int)size);
	}
	memset(bytes, 'a', sizeof(bytes));
	assert_int_equal(mmds_http_parse(bytes, MMDS_HTTP_MAX - 1, &request), 0);
	assert_int_equal(mmds_http_parse(bytes, MMDS_HTTP_MAX, &request), -EBADMSG);
}

/* ---- answers ---- */

struct rig {
	struct mmds_service service;
	struct mmds_counters counters;
	uint64_t now;
	char *said;
};

static int set_up(void **state)
{
	json_t *data = json_loads("{\"name\":\"vm\",\"n\":1,\"o\":{\"k\":\"v\"}}", 0, NULL);
	struct rig *rig = calloc(1, sizeof(*rig));
	struct diag diag;

	rig->now = 9 * S;
	rig->service.counters = &rig->counters;
	mmds_store_init(&rig->service.store, MMDS_SIZE_LIMIT);
	assert_int_equal(mmds_store_put(&rig->service.store, data, &diag), 0);
	json_decref(data);
	*state = rig;
	return 0;
}

static int tear_down(void **state)
{
	struct rig *rig = *state;

	mmds_store_fini(&rig->service.store);
	free(rig->said);
	free(rig);
	return 0;
}

/* The whole of what goes out. */
static const char *ask(struct rig *rig, const char *text)
{
	struct mmds_request request;
	struct mmds_answer answer;
	char bytes[MMDS_HTTP_MAX];
	ssize_t ret = parse(bytes, text, &request);
	size_t size;

	assert_int_not_equal(ret, 0);
	free(rig->said);
	answer = mmds_answer(&rig->service, ret > 0 ? &request : NULL, rig->now);
	rig->said = mmds_http_render(&answer, request.method, request.keeps, &size);
	assert_non_null(rig->said);
	assert_int_equal(size, strlen(rig->said));
	free(answer.body);
	return rig->said;
}

static void assert_says(struct rig *rig, const char *text, const char *status, const char *body)
{
	const char *said = ask(rig, text), *end = strstr(said, "\r\n\r\n");
	char want[300];

	sprintf(want, "HTTP/1.1 %s\r\n", status);
	assert_memory_equal(said, want, strlen(want));
	assert_string_equal(end + 4, body);
	sprintf(want, "\r\nContent-Length: %zu\r\n\r\n", strlen(body));
	assert_ptr_equal(strstr(said, want) + strlen(want), end + 4);
}

static void test_whole_answers(void **state)
{
	struct rig *rig = *state;

	assert_string_equal(ask(rig, "GET /name HTTP/1.1\r\n\r\n"),
		"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: text/plain\r\n"
		"Content-Length: 2\r\n\r\nvm");
	assert_string_equal(ask(rig, "GET /name HTTP/1.0\r\nAccept: application/json\r\n\r\n"),
		"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: application/json\r\n"
		"Content-Length: 4\r\n\r\n\"vm\"");
	assert_string_equal(ask(rig, "PATCH / HTTP/1.1\r\n\r\n"),
		"HTTP/1.1 405 Method Not Allowed\r\nConnection: keep-alive\r\n"
		"Allow: GET, PUT\r\nContent-Type: text/plain\r\n"
		"Content-Length: 24\r\n\r\nNot allowed HTTP method.");
	assert_string_equal(ask(rig, "HEAD / HTTP/1.1\r\n\r\n"),
		"HTTP/1.1 405 Method Not Allowed\r\nConnection: keep-alive\r\n"
		"Allow: GET, PUT\r\nContent-Type: text/plain\r\n"
		"Content-Length: 24\r\n\r\n");
}

static void test_values(void **state)
{
	struct rig *rig = *state;

	assert_says(rig, "GET / HTTP/1.1\r\n\r\n", "200 OK", "n\nname\no/");
	assert_says(rig, "GET http://h//o/ HTTP/1.1\r\n\r\n", "200 OK", "k");
	assert_says(rig, "GET /o HTTP/1.1\r\naccept: application/json\r\n\r\n", "200 OK",
		"{\"k\":\"v\"}");
	assert_says(rig, "GET //no HTTP/1.1\r\n\r\n", "404 Not Found", "Resource not found: //no.");
	assert_says(rig, "GET /n HTTP/1.1\r\n\r\n", "501 Not Implemented",
		"Cannot retrieve value. The value has an unsupported type.");
	assert_says(rig, "GET * HTTP/1.1\r\n\r\n", "400 Bad Request", "Invalid URI.");
	assert_says(rig, "nonsense\r\n\r\n", "400 Bad Request", "Invalid request.");
	assert_says(rig, "GET / HTTP/1.1\r\nContent-Length: 1\r\n\r\n", "400 Bad Request",
		"Invalid request.");
	assert_says(rig, "PUT / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "400 Bad Request",
		"Invalid request.");
	rig->service.store.is_imds = true;
	assert_says(rig, "GET /o HTTP/1.1\r\naccept: application/json\r\n\r\n", "200 OK", "k");
	assert_non_null(strstr(rig->said, "Content-Type: text/plain\r\n"));
}

static void get_token(struct rig *rig, const char *field, char token[MMDS_TOKEN_SIZE + 1])
{
	char text[200], line[100];

	sprintf(text, "PUT /latest//api/token HTTP/1.1\r\n%s: 00060\r\n\r\n", field);
	ask(rig, text);
	sprintf(line, "\r\n%s: 60\r\n", field);
	assert_memory_equal(rig->said, "HTTP/1.1 200 OK\r\n", 17);
	assert_non_null(strstr(rig->said, line));
	stpcpy(token, strstr(rig->said, "\r\n\r\n") + 4);
	assert_int_equal(strlen(token), MMDS_TOKEN_SIZE);
}

static const char *get_with(char text[300], const char *field, const char *value)
{
	sprintf(text, "GET /name HTTP/1.1\r\n%s: %s\r\n\r\n", field, value);
	return text;
}

static void test_tokens(void **state)
{
	char ours[MMDS_TOKEN_SIZE + 1], ec2[MMDS_TOKEN_SIZE + 1], text[300];
	struct rig *rig = *state;

	rig->service.needs_token = true;
	get_token(rig, "X-metadata-token-ttl-seconds", ours);
	get_token(rig, "X-aws-ec2-metadata-token-ttl-seconds", ec2);
	assert_says(rig, "GET /name HTTP/1.1\r\n\r\n", "401 Unauthorized", NO_TOKEN);
	assert_says(rig, "GET /no HTTP/1.1\r\n\r\n", "401 Unauthorized", NO_TOKEN);
	assert_says(rig, get_with(text, "X-metadata-token", "foo"), "401 Unauthorized",
		"MMDS token not valid.");
	assert_says(rig, get_with(text, "X-metadata-token", ec2), "200 OK", "vm");
	assert_says(rig, get_with(text, "X-aws-ec2-metadata-token", ours), "200 OK", "vm");
	rig->now += 60 * S;
	assert_says(rig, get_with(text, "X-aws-ec2-metadata-token", ours), "401 Unauthorized",
		"MMDS token not valid.");
	assert_int_equal(rig->counters.no_token, 2);
	assert_int_equal(rig->counters.invalid_token, 2);
	assert_int_equal(rig->counters.requests, 8);
}

/* Version 1 takes whatever comes, counts it, and makes tokens for who asks. */
static void test_version_1(void **state)
{
	char token[MMDS_TOKEN_SIZE + 1], text[300];
	struct rig *rig = *state;

	assert_says(rig, "GET /name HTTP/1.1\r\n\r\n", "200 OK", "vm");
	assert_says(rig, get_with(text, "X-metadata-token", "foo"), "200 OK", "vm");
	get_token(rig, "X-metadata-token-ttl-seconds", token);
	assert_says(rig, get_with(text, "X-metadata-token", token), "200 OK", "vm");
	assert_int_equal(rig->counters.no_token, 1);
	assert_int_equal(rig->counters.invalid_token, 1);
}

static void test_bad_puts(void **state)
{
	static const char *const values[] = { "0", "21601", "4294967295" };
	static const char *const words[] = { "", "x", "-1", "+1", "1x", "0x1", "4294967296",
		"99999999999999999999" };
	struct rig *rig = *state;
	char text[300], want[300];

	assert_says(rig, "PUT / HTTP/1.1\r\nx-forwarded-for: h\r\n\r\n", "400 Bad Request",
		"Invalid header. Reason: Unsupported header name. Key: X-Forwarded-For");
	assert_says(rig, "PUT /latest/api/toke HTTP/1.1\r\n\r\n", "404 Not Found",
		"Resource not found: /latest/api/toke.");
	assert_says(rig, "PUT /latest/api/tokens HTTP/1.1\r\n\r\n", "404 Not Found",
		"Resource not found: /latest/api/tokens.");
	assert_says(rig, "PUT /latest/api/token/ HTTP/1.1\r\n\r\n", "404 Not Found",
		"Resource not found: /latest/api/token/.");
	assert_says(rig, "PUT /latest/api/token HTTP/1.1\r\n\r\n", "400 Bad Request", NO_TTL);
	for (unsigned int i = 0; i < ARRAY_SIZE(values); i++) {
		sprintf(text,
			"PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds:%s\r\n\r\n",
			values[i]);
		sprintf(want,
			"Invalid time to live value provided for token: %s. Please provide a value between 1 and 21600.",
			values[i]);
		assert_says(rig, text, "400 Bad Request", want);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(words); i++) {
		sprintf(text,
			"PUT /latest/api/token HTTP/1.1\r\nX-metadata-token-ttl-seconds:%s\r\n\r\n",
			words[i]);
		sprintf(want,
			"Invalid header. Reason: Invalid value. Key:X-metadata-token-ttl-seconds; Value:%s",
			words[i]);
		assert_says(rig, text, "400 Bad Request", want);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_targets),
		cmocka_unit_test(test_methods),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_no_requests),
		cmocka_unit_test(test_too_long),
		TEST(test_whole_answers),
		TEST(test_values),
		TEST(test_tokens),
		TEST(test_version_1),
		TEST(test_bad_puts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
