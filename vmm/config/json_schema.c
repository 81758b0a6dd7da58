// SPDX-License-Identifier: MIT
/* json_schema.c - the settings' table as JSON Schema */

#include "config/json_schema.h"

#include "config/table.h"

#include <string.h>

static json_t *schema_of_object(const struct schema *schema);

static json_t *schema_of_number(const struct setting *s)
{
	return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)s->min,
		"maximum", (json_int_t)s->max);
}

/* What a text says that is a size, is for the program to read. */
static json_t *schema_of_size(const struct setting *s)
{
	json_t *schema = schema_of_number(s);

	json_object_set_new(schema, "type", json_pack("[s, s]", "integer", "string"));
	if (s->step > 1)
		json_object_set_new(schema, "multipleOf", json_integer((json_int_t)s->step));
	return schema;
}

static json_t *schema_of_text(const struct setting *s)
{
	json_t *schema = json_pack("{s:s, s:i}", "type", "string", "minLength", 1);

	if (s->kind == SETTING_TEXT && s->max)
		json_object_set_new(schema, "maxLength", json_integer((json_int_t)s->max));
	return schema;
}

/* One of the words as they are; or a word that ends in a colon, or is empty, and a path. */
static json_t *schema_of_word(const struct setting *s)
{
	json_t *plain = json_array(), *forms = json_array();

	for (const struct word *word = s->words; word->word; word++) {
		size_t len = strlen(word->word);

		if (len && word->word[len - 1] != ':')
			json_array_append_new(plain, json_string(word->word));
		else
			json_array_append_new(
				forms, json_pack("{s:s, s:o}", "type", "string", "pattern",
					       json_sprintf("^%s.", word->word)));
		if (!strcmp(word->word, "on")) {
			json_array_append_new(plain, json_true());
			json_array_append_new(plain, json_false());
		}
	}
	json_array_insert_new(forms, 0, json_pack("{s:o}", "enum", plain));
	return json_pack("{s:o}", "anyOf", forms);
}

/* One, as an object or as the option's text, several, or (with true and false) "on" and "off". */
static json_t *schema_of_list(const struct setting *s)
{
	json_t *item = json_pack(
		"{s:[{s:s}, o]}", "anyOf", "type", "string", schema_of_object(s->members));

	return json_pack("{s:[{s:s}, {s:s, s:I, s:O}, o]}", "anyOf", "type", "boolean", "type",
		"array", "maxItems", (json_int_t)s->max, "items", item, item);
}

static json_t *schema_of_value(const struct setting *s)
{
	switch (s->kind) {
	case SETTING_NUMBER: return schema_of_number(s);
	case SETTING_SIZE: return schema_of_size(s);
	case SETTING_RATE: return json_pack("{s:[s, s]}", "type", "integer", "string");
	case SETTING_FLAG: return json_pack("{s:s}", "type", "boolean");
	case SETTING_WORD: return schema_of_word(s);
	case SETTING_OBJECT: return schema_of_object(s->members);
	case SETTING_OBJECTS: return schema_of_list(s);
	case SETTING_LIST:
		return json_pack("{s:[s, s], s:{s:s}}", "type", "string", "array", "items", "type",
			"string");
	default: return schema_of_text(s);
	}
}

static json_t *schema_of_object(const struct schema *schema)
{
	json_t *fields = json_object();

	for (size_t i = 0; i < schema->n; i++) {
		const struct setting *s = &schema->settings[i];
		json_t *value;

		if (!(s->source & FROM_JSON))
			continue;
		value = schema_of_value(s);
		if (s->help)
			json_object_set_new(value, "description", json_string(s->help));
		json_object_set_new(fields, s->name, value);
	}
	return json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
		"properties", fields);
}

json_t *config_json_schema(void)
{
	return schema_of_object(&config_schema);
}
