// SPDX-License-Identifier: MIT
/* shape.c - what a JSON object of the API may hold */

#include "api/shape.h"

#include "util/bits.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define MOST_TEXT  4096u
#define MOST_ITEMS 64u

/* A list of names, as in "expected one of `a`, `b`". */
#define NAMES 256

static void add_name(char names[NAMES], const char *name)
{
	size_t used = strlen(names);

	snprintf(names + used, NAMES - used, "%s`%s`", used ? ", " : "", name);
}

/* What a value is, and its text if it is short. */
static void describe(const json_t *value, char text[64])
{
	switch (json_typeof(value)) {
	case JSON_STRING: snprintf(text, 64, "string \"%.32s\"", json_string_value(value)); break;
	case JSON_INTEGER:
		snprintf(text, 64, "integer `%" JSON_INTEGER_FORMAT "`", json_integer_value(value));
		break;
	case JSON_REAL: snprintf(text, 64, "floating point `%g`", json_real_value(value)); break;
	case JSON_TRUE:
	case JSON_FALSE:
		snprintf(text, 64, "boolean `%s`", json_is_true(value) ? "true" : "false");
		break;
	case JSON_NULL: snprintf(text, 64, "null"); break;
	case JSON_ARRAY: snprintf(text, 64, "sequence"); break;
	default: snprintf(text, 64, "map"); break;
	}
}

static int refuse_type(
	const struct field *field, const json_t *value, const char *wanted, struct diag *diag)
{
	char is[64];

	describe(value, is);
	return diag_fail(
		diag, EINVAL, "invalid type: %s, expected %s, in `%s`", is, wanted, field->name);
}

static int check_text(const struct field *field, const json_t *value, struct diag *diag)
{
	size_t most = field->max ? field->max : MOST_TEXT;

	if (!json_is_string(value))
		return refuse_type(field, value, "a string", diag);
	if (json_string_length(value) > most)
		return diag_fail(diag, EINVAL, "`%s`: %zu bytes are more than the %zu it may have",
			field->name, json_string_length(value), most);
	return 0;
}

static int check_number(const struct field *field, const json_t *value, struct diag *diag)
{
	uint64_t most = field->max ? field->max : UINT32_MAX;
	char is[64];

	if (!json_is_integer(value))
		return refuse_type(field, value, "a whole number", diag);
	if (json_integer_value(value) >= 0 && (uint64_t)json_integer_value(value) <= most)
		return 0;
	describe(value, is);
	return diag_fail(diag, EINVAL, "invalid value: %s, expected 0 to %llu, in `%s`", is,
		(unsigned long long)most, field->name);
}

static int check_word(const struct field *field, const json_t *value, struct diag *diag)
{
	char names[NAMES] = "";

	if (!json_is_string(value))
		return refuse_type(field, value, "a string", diag);
	for (const char *const *word = field->words; *word; word++) {
		if (!strcmp(*word, json_string_value(value)))
			return 0;
		add_name(names, *word);
	}
	return diag_fail(diag, EINVAL, "unknown variant `%.40s`, expected %s%s, in `%s`",
		json_string_value(value), strchr(names, ',') ? "one of " : "", names, field->name);
}

static int check_texts(const struct field *field, const json_t *value, struct diag *diag)
{
	if (!json_is_array(value))
		return refuse_type(field, value, "a sequence", diag);
	if (json_array_size(value) > MOST_ITEMS)
		return diag_fail(diag, EINVAL, "`%s`: more than %u items", field->name, MOST_ITEMS);
	for (size_t i = 0; i < json_array_size(value); i++)
		if (!json_is_string(json_array_get(value, i)))
			return refuse_type(field, json_array_get(value, i), "a string", diag);
	return 0;
}

static int check(const struct field *field, const json_t *value, struct diag *diag)
{
	switch (field->type) {
	case FIELD_TEXT: return check_text(field, value, diag);
	case FIELD_NUMBER: return check_number(field, value, diag);
	case FIELD_WORD: return check_word(field, value, diag);
	case FIELD_TEXTS: return check_texts(field, value, diag);
	case FIELD_FLAG:
		return json_is_boolean(value) ? 0 : refuse_type(field, value, "a boolean", diag);
	default: return 0;
	}
}

static int refuse_unknown(const struct shape *shape, const char *name, struct diag *diag)
{
	char names[NAMES] = "";

	for (size_t i = 0; i < shape->n; i++)
		add_name(names, shape->fields[i].name);
	return diag_fail(diag, EINVAL, "unknown field `%.40s`, expected one of %s", name, names);
}

static int check_names(const struct shape *shape, const json_t *in, struct diag *diag)
{
	const json_t *value;
	const char *name;

	if (!json_is_object(in))
		return diag_fail(diag, EINVAL, "invalid type: the body is not a JSON object");
	json_object_foreach((json_t *)in, name, value)
	{
		size_t i = 0;

		while (i < shape->n && strcmp(shape->fields[i].name, name))
			i++;
		if (i == shape->n && !shape->lax)
			return refuse_unknown(shape, name, diag);
	}
	return 0;
}

static json_t *fallback(const struct field *field)
{
	json_t *value;

	if (!field->fallback)
		return json_null();
	value = json_loads(field->fallback, JSON_DECODE_ANY, NULL);
	BUG_ON(!value);
	return value;
}

static json_t *read_object(
	const struct shape *shape, const json_t *in, bool is_partial, struct diag *diag);

static json_t *read_objects(
	const struct field *field, const json_t *in, bool is_partial, struct diag *diag)
{
	json_t *out, *item;

	if (!json_is_array(in)) {
		refuse_type(field, in, "a sequence", diag);
		return NULL;
	}
	if (json_array_size(in) > MOST_ITEMS) {
		diag_fail(diag, EINVAL, "`%s`: more than %u items", field->name, MOST_ITEMS);
		return NULL;
	}
	out = json_array();
	for (size_t i = 0; i < json_array_size(in); i++) {
		item = read_object(field->inner, json_array_get(in, i), is_partial, diag);
		if (!item) {
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, item);
	}
	return out;
}

/* A new reference; NULL and diag. */
static json_t *read_field(
	const struct field *field, json_t *value, bool is_partial, struct diag *diag)
{
	if (field->type == FIELD_OBJECT)
		return read_object(field->inner, value, is_partial, diag);
	if (field->type == FIELD_OBJECTS)
		return read_objects(field, value, is_partial, diag);
	return check(field, value, diag) ? NULL : json_incref(value);
}

static json_t *read_object(
	const struct shape *shape, const json_t *in, bool is_partial, struct diag *diag)
{
	json_t *out;

	if (check_names(shape, in, diag))
		return NULL;
	out = json_object();
	for (size_t i = 0; i < shape->n; i++) {
		const struct field *field = &shape->fields[i];
		json_t *value = json_object_get(in, field->name);
		bool is_there = value && !json_is_null(value);

		if (!is_there && field->required) {
			diag_fail(diag, EINVAL, "missing field `%s`", field->name);
			json_decref(out);
			return NULL;
		}
		if (!is_there && (is_partial || field->unshown))
			continue;
		value = is_there ? read_field(field, value, is_partial, diag) : fallback(field);
		if (!value) {
			json_decref(out);
			return NULL;
		}
		json_object_set_new(out, field->name, value);
	}
	return out;
}

json_t *shape_read(const struct shape *shape, const json_t *in, struct diag *diag)
{
	return read_object(shape, in, false, diag);
}

json_t *shape_read_partial(const struct shape *shape, const json_t *in, struct diag *diag)
{
	return read_object(shape, in, true, diag);
}
