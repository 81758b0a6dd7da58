// SPDX-License-Identifier: MIT
/* test_mmds_store.c - the metadata service's store and tokens */

#include "api/mmds_store.h"
#include "api/mmds_token.h"
#include "util/bits.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define TOO_LONG "The MMDS patch request doesn't fit."
#define S        UINT64_C(1000000000)

static json_t *parse(const char *text)
{
	json_t *value = json_loads(text, JSON_DECODE_ANY, NULL);

	assert_non_null(value);
	return value;
}

static int put(struct mmds_store *store, const char *text, struct diag *diag)
{
	json_t *value = parse(text);
	int ret = mmds_store_put(store, value, diag);

	json_decref(value);
	return ret;
}

static int patch(struct mmds_store *store, const char *text, struct diag *diag)
{
	json_t *value = parse(text);
	int ret = mmds_store_patch(store, value, diag);

	json_decref(value);
	return ret;
}

static void assert_whole(const struct mmds_store *store, const char *want)
{
	char *text = mmds_store_show(store);

	assert_string_equal(text, want);
	free(text);
	text = mmds_store_text(store);
	assert_string_equal(text, json_is_null(store->data) || !store->data ? "null" : want);
	free(text);
}

static void assert_found(
	const struct mmds_store *store, const char *path, bool as_json, const char *want)
{
	char *text;

	assert_int_equal(mmds_store_find(store, path, as_json, &text), 0);
	assert_string_equal(text, want);
	free(text);
}

/* ---- changes ---- */

static void test_put(void **state)
{
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 100);
	assert_whole(&store, "{}");
	assert_int_equal(put(&store, "null", &diag), 0);
	assert_whole(&store, "{}");
	assert_int_equal(
		put(&store, "{\"b\": [1, 2.5], \"a\": {\"d\": \"x\", \"c\": null}}", &diag), 0);
	assert_whole(&store, "{\"a\":{\"c\":null,\"d\":\"x\"},\"b\":[1,2.5]}");
	assert_int_equal(put(&store, "\"x\"", &diag), 0);
	assert_whole(&store, "\"x\"");
	mmds_store_fini(&store);
}

/* As they were written, if 15 digits do, and otherwise exactly. */
static void test_numbers(void **state)
{
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 100);
	assert_int_equal(put(&store, "[12.12, 0.1, 1e300, -24, 4611686018427387905]", &diag), 0);
	assert_whole(&store, "[12.12,0.1,1e300,-24,4611686018427387905]");
	assert_int_equal(put(&store, "0.30000000000000004", &diag), 0);
	assert_whole(&store, "0.30000000000000004");
	mmds_store_fini(&store);
}

/* The limit itself is not over it; who is over it changes nothing. */
static void test_limit(void **state)
{
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 12);
	assert_int_equal(put(&store, "{ \"a\" : \"1234\" }", &diag), 0);
	assert_int_equal(put(&store, "{\"a\":\"12345\"}", &diag), -E2BIG);
	assert_string_equal(diag.text, TOO_LONG);
	assert_whole(&store, "{\"a\":\"1234\"}");
	assert_int_equal(patch(&store, "{\"b\":1}", &diag), -E2BIG);
	assert_string_equal(diag.text, TOO_LONG);
	assert_whole(&store, "{\"a\":\"1234\"}");
	assert_int_equal(patch(&store, "{\"b\":1,\"a\":null}", &diag), 0);
	assert_whole(&store, "{\"b\":1}");
	mmds_store_fini(&store);
}

static void test_patch_of_nothing(void **state)
{
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 100);
	assert_int_equal(patch(&store, "{\"a\":1}", &diag), -ENODATA);
	assert_string_equal(diag.text, "The MMDS data store is not initialized.");
	assert_int_equal(put(&store, "null", &diag), 0);
	assert_int_equal(patch(&store, "{\"a\":1}", &diag), 0);
	assert_whole(&store, "{\"a\":1}");
	mmds_store_fini(&store);
}

/* The examples of RFC 7396, appendix A. */
static void test_patches(void **state)
{
	static const char *const cases[][3] = {
		{ "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
		{ "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
		{ "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
		{ "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
		{ "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
		{ "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
			"{\"a\":{\"b\":\"d\"}}" },
		{ "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
		{ "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
		{ "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
		{ "{\"a\":\"foo\"}", "null", "{}" },
		{ "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
		{ "{\"e\":null}", "{\"a\":1}", "{\"a\":1,\"e\":null}" },
		{ "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
		{ "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },
	};
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 100);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(put(&store, cases[i][0], &diag), 0);
		assert_int_equal(patch(&store, cases[i][1], &diag), 0);
		assert_whole(&store, cases[i][2]);
	}
	mmds_store_fini(&store);
}

/* What was given stays the giver's, and what it does with it has no effect. */
static void test_copies(void **state)
{
	json_t *value = parse("{\"a\":{\"b\":1}}"), *change = parse("{\"a\":{\"c\":[1]}}");
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, 100);
	assert_int_equal(mmds_store_put(&store, value, &diag), 0);
	assert_int_equal(mmds_store_patch(&store, change, &diag), 0);
	json_object_clear(json_object_get(value, "a"));
	json_array_clear(json_object_get(json_object_get(change, "a"), "c"));
	assert_whole(&store, "{\"a\":{\"b\":1,\"c\":[1]}}");
	json_decref(value);
	json_decref(change);
	mmds_store_fini(&store);
}

/* ---- questions ---- */

#define EXAMPLE                                                                               \
	"{\"meta-data\":{\"name\":\"vm\",\"tags\":[\"x\",{\"y\":1}],\"net\":{\"eth0\":{}},"   \
	"\"n\":512,\"none\":null,\"yes\":true,\"empty\":\"\"},\"a/b\":{\"m~n\":\"odd\",\"\":" \
	"\"nameless\"},\"~2\":\"tilde\",\"user\":\"text \\\"in\\\" quotes\"}"

static void test_find(void **state)
{
	static const char *const cases[][3] = {
		{ "/", NULL, "a/b/\nmeta-data/\nuser\n~2" },
		{ "///", NULL, "a/b/\nmeta-data/\nuser\n~2" },
		{ "/meta-data", NULL, "empty\nn\nname\nnet/\nnone\ntags\nyes" },
		{ "/meta-data/name", "\"vm\"", "vm" },
		{ "//meta-data///name//", "\"vm\"", "vm" },
		{ "/meta-data/empty", "\"\"", "" },
		{ "/meta-data/net", "{\"eth0\":{}}", "eth0/" },
		{ "/meta-data/net/eth0/", "{}", "" },
		{ "/meta-data/tags/0", "\"x\"", "x" },
		{ "/meta-data/tags/1", "{\"y\":1}", "y" },
		{ "/a~1b", "{\"\":\"nameless\",\"m~n\":\"odd\"}", "\nm~n" },
		{ "/a~1b/m~0n", "\"odd\"", "odd" },
		{ "/~2", "\"tilde\"", "tilde" },
		{ "/user", "\"text \\\"in\\\" quotes\"", "text \"in\" quotes" },
	};
	struct mmds_store store;
	struct diag diag;

	mmds_store_init(&store, MMDS_SIZE_LIMIT);
	assert_int_equal(put(&store, EXAMPLE, &diag), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		store.is_imds = false;
		if (cases[i][1])
			assert_found(&store, cases[i][0], true, cases[i][1]);
		assert_found(&store, cases[i][0], false, cases[i][2]);
		store.is_imds = true;
		assert_found(&store, cases[i][0], true, cases[i][2]);
	}
	mmds_store_fini(&store);
}

/* Plain text is for strings and objects. */
static void test_other_types(void **state)
{
	static const char *const cases[][2] = {
		{ "/meta-data/n", "512" },
		{ "/meta-data/none", "null" },
		{ "/meta-data/yes", "true" },
		{ "/meta-data/tags", "[\"x\",{\"y\":1}]" },
	};
	struct mmds_store store;
	struct diag diag;
	char *text;

	mmds_store_init(&store, MMDS_SIZE_LIMIT);
	assert_found(&store, "/", true, "null");
	assert_int_equal(mmds_store_find(&store, "/", false, &text), -EOPNOTSUPP);
	assert_int_equal(put(&store, EXAMPLE, &diag), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_found(&store, cases[i][0], true, cases[i][1]);
		assert_int_equal(mmds_store_find(&store, cases[i][0], false, &text), -EOPNOTSUPP);
		store.is_imds = true;
		assert_int_equal(mmds_store_find(&store, cases[i][0], true, &text), -EOPNOTSUPP);
		store.is_imds = false;
	}
	mmds_store_fini(&store);
}

static void test_not_there(void **state)
{
	static const char *const paths[] = { "/no", "/meta-data/no", "/meta-data/name/x",
		"/meta-data/n/0", "/meta-data/tags/2", "/meta-data/tags/01", "/meta-data/tags/-1",
		"/meta-data/tags/+1", "/meta-data/tags/x", "/meta-data/tags/4294967296",
		"/meta-data/tags/18446744073709551616", "/meta-data/tags/0x0", "/a/b", "meta-data",
		"*" };
	struct mmds_store store;
	struct diag diag;
	char *text;

	mmds_store_init(&store, MMDS_SIZE_LIMIT);
	assert_int_equal(mmds_store_find(&store, "/a", true, &text), -ENOENT);
	assert_int_equal(put(&store, EXAMPLE, &diag), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(paths); i++)
		for (int as_json = 0; as_json < 2; as_json++)
			assert_int_equal(
				mmds_store_find(&store, paths[i], as_json, &text), -ENOENT);
	mmds_store_fini(&store);
}

/* ---- tokens ---- */

static void test_token(void **state)
{
	struct mmds_tokens *tokens = calloc(1, sizeof(*tokens));
	char a[MMDS_TOKEN_SIZE + 1], b[MMDS_TOKEN_SIZE + 1];

	assert_int_equal(mmds_token_make(tokens, 1, 5 * S, a), 0);
	assert_int_equal(mmds_token_make(tokens, MMDS_MAX_TTL, 5 * S, b), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(strspn(a, "0123456789abcdef"), MMDS_TOKEN_SIZE);
	assert_true(mmds_token_is_valid(tokens, a, 6 * S - 1));
	assert_false(mmds_token_is_valid(tokens, a, 6 * S));
	assert_true(mmds_token_is_valid(tokens, b, 6 * S));
	assert_true(mmds_token_is_valid(tokens, b, (5 + 21600) * S - 1));
	assert_false(mmds_token_is_valid(tokens, b, (5 + 21600) * S));
	assert_int_equal(mmds_token_make(tokens, 0, S, a), -EINVAL);
	assert_int_equal(mmds_token_make(tokens, 21601, S, a), -EINVAL);
	free(tokens);
}

/* Each digit counts, and so does the length. */
static void test_wrong_tokens(void **state)
{
	struct mmds_tokens *tokens = calloc(1, sizeof(*tokens));
	char text[MMDS_TOKEN_SIZE + 2] = { 0 };

	memset(text, 0, sizeof(text));
	assert_false(mmds_token_is_valid(tokens, "", S));
	assert_int_equal(mmds_token_make(tokens, 60, S, text), 0);
	for (int i = 0; i < MMDS_TOKEN_SIZE; i++) {
		text[i] ^= 1;
		assert_false(mmds_token_is_valid(tokens, text, S));
		text[i] ^= 1;
	}
	text[MMDS_TOKEN_SIZE] = '0';
	assert_false(mmds_token_is_valid(tokens, text, S));
	text[MMDS_TOKEN_SIZE] = '\0';
	assert_true(mmds_token_is_valid(tokens, text, S));
	text[MMDS_TOKEN_SIZE - 1] = '\0';
	assert_false(mmds_token_is_valid(tokens, text, S));
	free(tokens);
}

/* However many are asked for: the one that ends first goes. */
static void test_many_tokens(void **state)
{
	struct mmds_tokens *tokens = calloc(1, sizeof(*tokens));
	char longest[MMDS_TOKEN_SIZE + 1], shortest[MMDS_TOKEN_SIZE + 1], text[MMDS_TOKEN_SIZE + 1];

	assert_int_equal(mmds_token_make(tokens, 3, S, shortest), 0);
	assert_int_equal(mmds_token_make(tokens, 600, S, longest), 0);
	for (int i = 0; i < MMDS_TOKENS - 2; i++)
		assert_int_equal(mmds_token_make(tokens, 60, S, text), 0);
	assert_true(mmds_token_is_valid(tokens, shortest, S));
	for (int i = 0; i < MMDS_TOKENS; i++) {
		assert_int_equal(mmds_token_make(tokens, 60, S, text), 0);
		assert_true(mmds_token_is_valid(tokens, text, S));
		assert_false(mmds_token_is_valid(tokens, shortest, S));
	}
	assert_true(mmds_token_is_valid(tokens, longest, S));
	free(tokens);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_put),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_patch_of_nothing),
		cmocka_unit_test(test_patches),
		cmocka_unit_test(test_copies),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_other_types),
		cmocka_unit_test(test_not_there),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_wrong_tokens),
		cmocka_unit_test(test_many_tokens),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
