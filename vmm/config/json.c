// SPDX-License-Identifier: MIT
/* json.c - settings of any schema from a JSON text */

#include "config/table.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define BOM "\xef\xbb\xbf"

/* To what follows in `text`, which has no NUL but has a closing brace. */
static const char *skip_blanks(const char *c, const char *end)
{
	while (c < end - 1 && (*c == ' ' || (*c >= '\t' && *c <= '\r')))
		c++;
	return c;
}

/* The quote that ends a key of the object that begins at `text`, which is JSON; NULL if it is not
 * found as it is, because it is written with escapes.
 */
static const char *find_key(const char *text, const char *end, const char *key)
{
	size_t len = strlen(key);
	int depth = 0;

	for (const char *c = text; c < end; c++) {
		const char *name = c + 1;

		depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
		if (depth <= 0 && *c == '}')
			return NULL;
		if (*c != '"')
			continue;
		for (c++; *c != '"'; c++)
			c += *c == '\\';
		if (depth == 1 && (size_t)(c - name) == len && !memcmp(name, key, len) &&
			*skip_blanks(c + 1, end) == ':')
			return c;
	}
	return NULL;
}

/* Where item `i` of the array begins that follows `text`, which is JSON. */
static const char *find_item(const char *text, const char *end, size_t i)
{
	int depth = 0;

	for (const char *c = text; c < end; c++) {
		depth += (*c == '{' || *c == '[') - (*c == '}' || *c == ']');
		if (depth == 1 && (*c == '[' || *c == ',') && i-- == 0)
			return skip_blanks(c + 1, end);
		if (*c == '"')
			for (c++; *c != '"'; c++)
				c += *c == '\\';
	}
	return NULL;
}

/* true and false are the words on and off, where there are such. */
static bool is_switch(const struct setting *s)
{
	const struct word *word = s->kind == SETTING_WORD ? s->words : NULL;

	while (word && word->word && strcmp(word->word, "on"))
		word++;
	return s->kind == SETTING_FLAG || (word && word->word);
}

static const char *wanted(const struct setting *s)
{
	switch (s->kind) {
	case SETTING_NUMBER: return "a whole number";
	case SETTING_SIZE: return "a string such as \"512M\", or a whole number of bytes";
	case SETTING_RATE:
		return "a string such as \"10M\" or \"10M/500ms\", or a whole number a second";
	case SETTING_FLAG: return "true or false";
	case SETTING_LIST: return "a string or an array of strings";
	case SETTING_OBJECT: return "an object, {...}";
	default: return is_switch(s) ? "true, false or a string" : "a string";
	}
}

/* The text that a value which holds no others has on a command line; NULL if its type is wrong. */
static const char *scalar_text(const struct setting *s, const json_t *value, char digits[24])
{
	bool is_number = s->kind == SETTING_NUMBER || s->kind == SETTING_SIZE ||
	                 s->kind == SETTING_RATE;
	bool is_text = s->kind != SETTING_NUMBER && s->kind != SETTING_FLAG &&
	               s->kind != SETTING_OBJECT;

	if (json_is_integer(value) && is_number) {
		snprintf(digits, 24, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
		return digits;
	}
	if (json_is_boolean(value) && is_switch(s))
		return json_is_true(value) ? "on" : "off";
	return json_is_string(value) && is_text ? json_string_value(value) : NULL;
}

static int apply_array(const struct setting *s, void *base, const json_t *array, struct diag *diag)
{
	size_t n = json_array_size(array), i = 0;
	const char **items = calloc(n + 1, sizeof(*items));
	int ret;

	if (!items)
		return diag_fail(diag, ENOMEM, "out of memory");
	while (i < n && (items[i] = json_string_value(json_array_get(array, i))) != NULL)
		i++;
	if (i < n)
		ret = diag_fail(diag, EINVAL, "item %zu is not a string", i + 1);
	else
		ret = setting_set_list(s, base, items, n, diag);
	free(items);
	return ret;
}

static int apply_scalar(const struct setting *s, void *base, const json_t *value, struct diag *diag)
{
	char digits[24];
	const char *text = scalar_text(s, value, digits);

	if (!text)
		return diag_fail(diag, EINVAL, "the value is not %s", wanted(s));
	if (s->kind == SETTING_LIST)
		setting_clear(s, base);
	return setting_set(s, base, text, diag);
}

static int refuse_key(const struct schema *schema, const char *key, struct diag *diag)
{
	char hint[CONFIG_HINT], names[SETTING_USAGE];
	const char *advice = config_hint(hint, schema, key, FROM_JSON);

	if (advice)
		return diag_fail(diag, EINVAL, "unknown key; %s", advice);
	if (schema == &config_schema)
		return diag_fail(diag, EINVAL,
			"unknown key; the keys are the long options of `pronto run --help`");
	schema_names(schema, names);
	return diag_fail(diag, EINVAL, "unknown key; the keys are %s", names);
}

/* A text that is being read, for messages. */
struct place {
	const char *end;   /* of the text */
	const char *wrong; /* the innermost key whose value is refused; NULL: not found */
};

static int apply_object(const struct schema *schema, void *base, const json_t *object,
	const char *text, struct place *place, struct diag *diag);

static int apply_item(const struct setting *s, void *base, const json_t *value, const char *text,
	struct place *place, struct diag *diag)
{
	void *item;
	int ret;

	if (json_is_string(value))
		return setting_set(s, base, json_string_value(value), diag);
	if (!json_is_object(value))
		return diag_fail(diag, EINVAL, "the value is not an object, {...}, or a string");
	item = setting_add_item(s, base, diag);
	if (!item)
		return -EINVAL;
	ret = apply_object(s->members, item, value, text, place, diag);
	if (ret)
		setting_drop_item(s, base);
	return ret;
}

static int apply_items(const struct setting *s, void *base, const json_t *array, const char *text,
	struct place *place, struct diag *diag)
{
	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *at = text ? find_item(text, place->end, i) : NULL;
		struct diag why;
		int ret = apply_item(s, base, json_array_get(array, i), at, place, &why);

		if (!ret)
			continue;
		if (!place->wrong)
			place->wrong = at;
		return diag_fail(diag, -ret, "item %zu: %s", i + 1, why.text);
	}
	return 0;
}

/* Of a setting that may hold others; `text` is what follows its key, or NULL. */
static int apply_value(const struct setting *s, void *base, const json_t *value, const char *text,
	struct place *place, struct diag *diag)
{
	if (s->kind == SETTING_OBJECT && json_is_object(value))
		return apply_object(s->members, (char *)base + s->at, value, text, place, diag);
	if (s->kind == SETTING_LIST && json_is_array(value))
		return apply_array(s, base, value, diag);
	if (s->kind != SETTING_OBJECTS)
		return apply_scalar(s, base, value, diag);
	setting_clear(s, base);
	if (json_is_boolean(value))
		return setting_set(s, base, json_is_true(value) ? "on" : "off", diag);
	return json_is_array(value) ? apply_items(s, base, value, text, place, diag)
	                            : apply_item(s, base, value, text, place, diag);
}

/* To look for each key in the text would be most of the work, and is of use for what goes wrong: in
 * the value itself, or in what it holds.
 */
static int apply_object(const struct schema *schema, void *base, const json_t *object,
	const char *text, struct place *place, struct diag *diag)
{
	const json_t *value;
	const char *key;

	json_object_foreach((json_t *)object, key, value)
	{
		const struct setting *s = schema_find(schema, key, FROM_JSON);
		bool holds = json_is_object(value) || json_is_array(value);
		const char *at = text && holds ? find_key(text, place->end, key) : NULL;
		struct diag why;
		int ret;

		ret = s ? apply_value(s, base, value, at ? at + 1 : NULL, place, &why)
		        : refuse_key(schema, key, &why);
		if (!ret)
			continue;
		if (!place->wrong)
			place->wrong = text && !holds ? find_key(text, place->end, key) : at;
		return diag_fail(diag, -ret, "\"%.40s\": %s", key, why.text);
	}
	return schema_check(schema, base, diag);
}

static int apply_root(const struct schema *schema, void *base, const char *name, const json_t *root,
	const char *text, const char *end, struct diag *diag)
{
	struct place place = { .end = end };
	struct diag why;
	unsigned int line = 1;
	int ret;

	if (!json_is_object(root))
		return diag_fail(
			diag, EINVAL, "%.300s: the file must hold one JSON object, {...}", name);
	ret = apply_object(schema, base, root, text, &place, &why);
	if (!ret)
		return 0;
	if (!place.wrong)
		return diag_fail(diag, -ret, "%.300s: %s", name, why.text);
	for (const char *c = text; c < place.wrong; c++)
		line += *c == '\n';
	return diag_fail(diag, -ret, "%.300s: line %u: %s", name, line, why.text);
}

int config_apply_json(const struct schema *schema, void *base, const char *name, const char *text,
	size_t size, struct diag *diag)
{
	json_error_t error;
	json_t *root;
	int ret;

	if (size >= strlen(BOM) && !memcmp(text, BOM, strlen(BOM)))
		return diag_fail(diag, EINVAL,
			"%.300s: begins with a byte order mark (BOM), which JSON does not have; save it without",
			name);
	root = json_loadb(text, size, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return diag_fail(diag, EINVAL, "%.300s: line %d, column %d: not JSON: %s", name,
			error.line, error.column, error.text);
	ret = apply_root(schema, base, name, root, text, text + size, diag);
	json_decref(root);
	return ret;
}
