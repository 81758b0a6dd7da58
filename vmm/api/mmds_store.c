// SPDX-License-Identifier: MIT
/* mmds_store.c - what the operator tells a guest */

#include "api/mmds_store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define SHORTEST (JSON_COMPACT | JSON_SORT_KEYS | JSON_ENCODE_ANY)

void mmds_store_init(struct mmds_store *store, size_t limit)
{
	*store = (struct mmds_store){ .limit = limit };
}

void mmds_store_fini(struct mmds_store *store)
{
	json_decref(store->data);
	store->data = NULL;
}

/* It is as deep as the parser lets it be. */
static bool has_reals(const json_t *value)
{
	const char *key;
	json_t *item;
	size_t i;

	json_object_foreach((json_t *)value, key, item)
	{
		if (has_reals(item))
			return true;
	}
	json_array_foreach((json_t *)value, i, item)
	{
		if (has_reals(item))
			return true;
	}
	return json_is_real(value);
}

/* 15 digits are what people write; 17 tell any two numbers apart.  NULL: no memory. */
static char *text_of(const json_t *value)
{
	char *text = json_dumps(value, SHORTEST | JSON_REAL_PRECISION(15));
	json_t *same;

	if (!text || !has_reals(value))
		return text;
	same = json_loads(text, JSON_DECODE_ANY, NULL);
	if (!json_equal(same, value)) {
		free(text);
		text = json_dumps(value, SHORTEST | JSON_REAL_PRECISION(17));
	}
	json_decref(same);
	return text;
}

/* ---- changes ---- */

/* Takes `data` over. */
static int replace(struct mmds_store *store, json_t *data, struct diag *diag)
{
	char *text = data ? text_of(data) : NULL;
	int ret = 0;

	if (!text)
		ret = diag_fail(diag, ENOMEM, "out of memory");
	else if (strlen(text) > store->limit)
		ret = diag_fail(diag, E2BIG, "The MMDS patch request doesn't fit.");
	free(text);
	json_decref(ret ? data : store->data);
	if (!ret)
		store->data = data;
	return ret;
}

int mmds_store_put(struct mmds_store *store, const json_t *data, struct diag *diag)
{
	return replace(store, json_deep_copy(data), diag);
}

static json_t *merged(json_t *target, const json_t *patch);

/* A new object: what it has of `target` is shared with that. */
static json_t *merged_object(json_t *target, const json_t *patch)
{
	json_t *result = json_is_object(target) ? json_copy(target) : json_object(), *change;
	const char *key;
	int ret = result ? 0 : -1;

	json_object_foreach((json_t *)patch, key, change)
	{
		if (ret)
			break;
		if (json_is_null(change))
			json_object_del(result, key);
		else
			ret = json_object_set_new(
				result, key, merged(json_object_get(result, key), change));
	}
	if (!ret)
		return result;
	json_decref(result);
	return NULL;
}

/* A new reference; NULL: no memory.  It goes no deeper than the parser lets `patch` go. */
static json_t *merged(json_t *target, const json_t *patch)
{
	return json_is_object(patch) ? merged_object(target, patch) : json_deep_copy(patch);
}

int mmds_store_patch(struct mmds_store *store, const json_t *patch, struct diag *diag)
{
	if (!store->data)
		return diag_fail(diag, ENODATA, "The MMDS data store is not initialized.");
	return replace(store, merged(store->data, patch), diag);
}

/* ---- what is in it ---- */

static const json_t *data_of(const struct mmds_store *store)
{
	return store->data ? store->data : json_null();
}

char *mmds_store_text(const struct mmds_store *store)
{
	return text_of(data_of(store));
}

char *mmds_store_show(const struct mmds_store *store)
{
	return json_is_null(data_of(store)) ? strdup("{}") : mmds_store_text(store);
}

/* Several slashes to one, and none at the end. */
static void tidy(char *path)
{
	char *to = path;

	for (const char *from = path; *from; from++)
		if (*from != '/' || to == path || to[-1] != '/')
			*to++ = *from;
	if (to > path && to[-1] == '/')
		to--;
	*to = '\0';
}

/* RFC 6901, 4: a tilde that begins neither stays. */
static void unescape(char *part)
{
	char *to = part;

	for (const char *from = part; *from; from++) {
		bool is_escape = *from == '~' && (from[1] == '0' || from[1] == '1');

		*to++ = !is_escape ? *from : from[1] == '0' ? '~' : '/';
		from += is_escape;
	}
	*to = '\0';
}

/* Digits, no zero before others (RFC 6901, 4). */
static const json_t *item_of(const json_t *array, const char *part)
{
	size_t n_digits = strspn(part, "0123456789");

	if (!n_digits || n_digits > 9 || part[n_digits] || (*part == '0' && n_digits > 1))
		return NULL;
	return json_array_get(array, strtoul(part, NULL, 10));
}

/* `path` is tidy, and changed. */
static const json_t *value_at(const json_t *value, char *path)
{
	if (!*path)
		return value;
	if (*path++ != '/')
		return NULL;
	for (char *part; value && (part = strsep(&path, "/")) != NULL;) {
		unescape(part);
		value = json_is_array(value) ? item_of(value, part) : json_object_get(value, part);
	}
	return value;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static size_t names_of(const json_t *object, const char **names)
{
	json_t *value;
	const char *key;
	size_t n = 0;

	json_object_foreach((json_t *)object, key, value) names[n++] = key;
	qsort(names, n, sizeof(*names), compare_names);
	return n;
}

/* A line each, with no end after the last. */
static char *listing(const json_t *object)
{
	const char **names = calloc(json_object_size(object) + 1, sizeof(*names));
	size_t n = names ? names_of(object, names) : 0, size = 1;
	char *text, *to;

	for (size_t i = 0; i < n; i++)
		size += strlen(names[i]) + 2;
	text = names ? calloc(1, size) : NULL;
	to = text;
	for (size_t i = 0; to && i < n; i++) {
		to = stpcpy(to, i ? "\n" : "");
		to = stpcpy(to, names[i]);
		if (json_is_object(json_object_get(object, names[i])))
			to = stpcpy(to, "/");
	}
	free(names);
	return text;
}

int mmds_store_find(const struct mmds_store *store, const char *path, bool as_json, char **text)
{
	const json_t *value;
	char *copy = strdup(path);

	if (!copy)
		return -ENOMEM;
	tidy(copy);
	value = value_at(data_of(store), copy);
	free(copy);
	if (!value)
		return -ENOENT;
	if (as_json && !store->is_imds)
		*text = text_of(value);
	else if (json_is_object(value))
		*text = listing(value);
	else if (json_is_string(value))
		*text = strdup(json_string_value(value));
	else
		return -EOPNOTSUPP;
	return *text ? 0 : -ENOMEM;
}
