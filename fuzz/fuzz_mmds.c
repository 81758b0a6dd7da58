// SPDX-License-Identifier: MIT
/* fuzz_mmds.c - what a guest sends to its metadata service
 *
 * The input is one connection's bytes, which arrive in pieces.  A request is the same however it is
 * cut, and what is said to it is whole.
 */

#include "api/mmds_answer.h"
#include "util/bits.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char value[] =
	"{\"latest\":{\"meta-data\":{\"name\":\"vm\",\"tags\":[\"a\",{\"b\":1}],"
	"\"n\":1.5,\"none\":null},\"a/b\":{\"~\":\"\"}}}";

static struct mmds_counters counters;

static void init(struct mmds_service *service)
{
	json_t *json = json_loads(value, 0, NULL);
	struct diag diag;

	*service = (struct mmds_service){ .counters = &counters };
	mmds_store_init(&service->store, MMDS_SIZE_LIMIT);
	BUG_ON(mmds_store_put(&service->store, json, &diag));
	json_decref(json);
}

/* A status, a head, and as many bytes behind it as that says. */
static void check_answer(const char *text, size_t size, enum mmds_method method)
{
	const char *end = strstr(text, "\r\n\r\n"), *length = strstr(text, "Content-Length: ");

	BUG_ON(strlen(text) != size || memcmp(text, "HTTP/1.1 ", 9) || !end);
	BUG_ON(!length || length > end);
	BUG_ON(strtoul(length + 16, NULL, 10) != strlen(end + 4) && method != MMDS_HEAD);
}

static void answer(struct mmds_service *service, const struct mmds_request *request)
{
	struct mmds_answer answer = mmds_answer(service, request, 1);
	enum mmds_method method = request ? request->method : MMDS_OTHER;
	size_t size;
	char *text = mmds_http_render(&answer, method, true, &size);

	BUG_ON(!answer.body || !text);
	BUG_ON(answer.status == 200 && request->method != MMDS_GET && request->method != MMDS_PUT);
	BUG_ON(answer.status == 200 && request->method == MMDS_GET && service->needs_token &&
		!request->field[MMDS_TOKEN] && !request->field[MMDS_EC2_TOKEN]);
	check_answer(text, size, method);
	free(answer.body);
	free(text);
}

/* In a buffer of just its size, so that what is read or written beyond is seen. */
static ssize_t parse(
	const uint8_t *data, size_t size, size_t part, struct mmds_request *request, char **bytes)
{
	ssize_t ret;

	*bytes = malloc(size + 1);
	memcpy(*bytes, data, size);
	*bytes = realloc(*bytes, size ? size : 1);
	ret = mmds_http_parse(*bytes, part, request);
	if (!ret)
		BUG_ON(memcmp(*bytes, data, size));
	if (ret > 0)
		BUG_ON((size_t)ret > part || memcmp(*bytes + ret, data + ret, size - (size_t)ret));
	return ret;
}

/* The next request, and how long it is; 0: nothing follows. */
static size_t next(struct mmds_service *service, const uint8_t *data, size_t size)
{
	struct mmds_request request, again;
	char *bytes, *other;
	ssize_t ret = parse(data, size, size, &request, &bytes);

	BUG_ON(!ret && size >= MMDS_HTTP_MAX);
	BUG_ON(ret < 0 && ret != -EBADMSG);
	if (ret)
		answer(service, ret > 0 ? &request : NULL);
	if (ret > 0) {
		BUG_ON(parse(data, size, (size_t)ret, &again, &other) != ret);
		BUG_ON(strcmp(request.path, again.path) || request.method != again.method);
		free(other);
		BUG_ON(parse(data, size, (size_t)ret - 1, &again, &other));
		free(other);
	}
	free(bytes);
	return ret > 0 && !request.has_body ? (size_t)ret : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct mmds_service service;
	size_t done;

	if (!size)
		return 0;
	init(&service);
	service.needs_token = *data & 1;
	service.store.is_imds = *data & 2;
	data++, size--;
	while ((done = next(&service, data, size)) != 0)
		data += done, size -= done;
	mmds_store_fini(&service.store);
	return 0;
}
