// SPDX-License-Identifier: MIT
/* json_write.c - settings as the JSON text that they can be read from again */

#include "config/json_write.h"

#include "config/table.h"

#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

static json_t *write_object(const struct schema *schema, const void *base);

static const void *member(const void *base, size_t at)
{
	return (const char *)base + at;
}

static json_t *write_word(const struct setting *s, const void *base)
{
	int value = *(const int *)member(base, s->at);
	char text[PATH_MAX + SETTING_USAGE];

	for (const struct word *w = s->words; w->word; w++) {
		size_t len = strlen(w->word);
		bool takes_path = !len || w->word[len - 1] == ':';
		const char *path = takes_path ? *(char *const *)member(base, s->path_at) : "";

		if (w->value != value || !path)
			continue;
		snprintf(text, sizeof(text), "%s%s", w->word, path);
		return json_string_nocheck(text);
	}
	return NULL;
}

static json_t *write_rate(const struct rate_limit *limit)
{
	char text[RATE_PRINTED];

	if (!limit->tokens)
		return NULL;
	rate_print(text, limit);
	return json_string(text);
}

static json_t *write_key(int code)
{
	return code < 0 ? json_string("none") : json_sprintf("^%c", code + '@');
}

/* What cannot be is what nobody has set. */
static json_t *write_integer(const struct setting *s, uint64_t value)
{
	return value < s->min || value > s->max ? NULL : json_integer((json_int_t)value);
}

static json_t *write_items(const struct setting *s, const void *base)
{
	const struct setting_list *list = member(base, s->at);
	json_t *array;

	if (!list->n)
		return list->off ? json_false() : NULL;
	array = json_array();
	for (size_t i = 0; i < list->n; i++)
		json_array_append_new(array,
			write_object(s->members, (char *)list->items + i * s->members->size));
	return array;
}

/* An object that was not set need not be usable. */
static json_t *write_member_object(const struct setting *s, const void *base)
{
	struct diag diag;

	if (schema_check(s->members, (void *)member(base, s->at), &diag))
		return NULL;
	return write_object(s->members, member(base, s->at));
}

/* NULL: it is not set. */
static json_t *write_value(const struct setting *s, const void *base)
{
	const void *at = member(base, s->at);

	switch (s->kind) {
	case SETTING_PATH:
	case SETTING_TEXT:
	case SETTING_LIST:
		return *(char *const *)at ? json_string_nocheck(*(char *const *)at) : NULL;
	case SETTING_NUMBER: return write_integer(s, *(const uint32_t *)at);
	case SETTING_SIZE: return write_integer(s, *(const uint64_t *)at);
	case SETTING_RATE: return write_rate(at);
	case SETTING_FLAG: return json_boolean(*(const bool *)at);
	case SETTING_WORD: return write_word(s, base);
	case SETTING_KEY: return write_key(*(const int *)at);
	case SETTING_OBJECT: return write_member_object(s, base);
	case SETTING_OBJECTS: return write_items(s, base);
	case SETTING_ACTION: break;
	}
	return NULL;
}

static json_t *write_object(const struct schema *schema, const void *base)
{
	json_t *object = json_object();

	for (size_t i = 0; i < schema->n; i++) {
		const struct setting *s = &schema->settings[i];
		json_t *value = s->source & FROM_JSON ? write_value(s, base) : NULL;

		if (value)
			json_object_set_new(object, s->name, value);
	}
	return object;
}

char *config_write_json(const struct config *config)
{
	static const char *const of_the_run[] = { "log-level", "timeline", "dry-run", "confine",
		"core-scheduling", "jail" };
	json_t *json = write_object(&config_schema, config);
	char *text;

	for (size_t i = 0; i < ARRAY_SIZE(of_the_run); i++)
		json_object_del(json, of_the_run[i]);
	/* Which judges what was not checked. */
	text = json_dumps(json, JSON_INDENT(2));
	json_decref(json);
	return text;
}
