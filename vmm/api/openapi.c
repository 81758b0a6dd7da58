// SPDX-License-Identifier: MIT
/* openapi.c - a description of the API, from its tables of operations and objects
 *
 * OpenAPI 3.1, since its schemas are those of JSON Schema 2020-12: who wants these alone finds them
 * at #/components/schemas.
 */

#include "api/route_parts.h"
#include "config/json_schema.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#define REF "#/components/schemas/"

/* ---- shapes ---- */

static json_t *refer(const char *name)
{
	return json_pack("{s:o}", "$ref", json_sprintf(REF "%s", name));
}

static json_t *schema_of_number(const struct field *field)
{
	uint64_t most = field->max ? field->max : UINT32_MAX;
	json_t *schema = json_pack("{s:s, s:i}", "type", "integer", "minimum", 0);

	if (most <= INT64_MAX)
		json_object_set_new(schema, "maximum", json_integer((json_int_t)most));
	return schema;
}

static json_t *schema_of_text(const struct field *field)
{
	json_t *schema = json_pack("{s:s}", "type", "string");

	if (field->max)
		json_object_set_new(schema, "maxLength", json_integer((json_int_t)field->max));
	return schema;
}

static json_t *schema_of_words(const struct field *field)
{
	json_t *words = json_array();

	for (const char *const *word = field->words; *word; word++)
		json_array_append_new(words, json_string(*word));
	return json_pack("{s:o}", "enum", words);
}

static json_t *schema_of_value(const struct field *field)
{
	switch (field->type) {
	case FIELD_TEXT: return schema_of_text(field);
	case FIELD_FLAG: return json_pack("{s:s}", "type", "boolean");
	case FIELD_NUMBER: return schema_of_number(field);
	case FIELD_WORD: return schema_of_words(field);
	case FIELD_OBJECT: return refer(field->inner->name);
	case FIELD_TEXTS:
		return json_pack("{s:s, s:{s:s}}", "type", "array", "items", "type", "string");
	case FIELD_OBJECTS:
		return json_pack("{s:s, s:o}", "type", "array", "items", refer(field->inner->name));
	default: return json_object();
	}
}

/* Null is as good as left out. */
static json_t *schema_of_field(const struct field *field)
{
	json_t *schema = schema_of_value(field);

	if (!field->required && field->type != FIELD_ANY)
		schema = json_pack("{s:[o, {s:s}]}", "anyOf", schema, "type", "null");
	if (field->fallback)
		json_object_set_new(
			schema, "default", json_loads(field->fallback, JSON_DECODE_ANY, NULL));
	return schema;
}

static json_t *schema_of_shape(const struct shape *shape, bool is_partial)
{
	json_t *fields = json_object(), *required = json_array();

	for (size_t i = 0; i < shape->n; i++) {
		const struct field *field = &shape->fields[i];

		json_object_set_new(fields, field->name, schema_of_field(field));
		if (field->required && !is_partial)
			json_array_append_new(required, json_string(field->name));
	}
	return json_pack("{s:s, s:b, s:o, s:o}", "type", "object", "additionalProperties",
		shape->lax, "properties", fields, "required", required);
}

/* By its name, with those that it consists of. */
static void add_shape(json_t *schemas, const struct shape *shape)
{
	if (json_object_get(schemas, shape->name))
		return;
	json_object_set_new(schemas, shape->name, schema_of_shape(shape, false));
	for (size_t i = 0; i < shape->n; i++)
		if (shape->fields[i].inner)
			add_shape(schemas, shape->fields[i].inner);
}

static void add_all_objects(json_t *schemas)
{
	json_t *fields = json_object();

	for (unsigned int kind = 0; kind < N_OBJECT_KINDS; kind++) {
		const struct object_class *class = &object_class[kind];
		json_t *object = refer(class->shape->name);

		add_shape(schemas, class->shape);
		if (!class->key)
			json_decref(object);
		else if (class->id)
			json_object_set_new(fields, class->key,
				json_pack("{s:s, s:o}", "type", "array", "items", object));
		else
			json_object_set_new(fields, class->key,
				json_pack("{s:[o, {s:s}]}", "anyOf", object, "type", "null"));
	}
	json_object_set_new(schemas, all_objects_shape.name,
		json_pack("{s:s, s:b, s:o}", "type", "object", "additionalProperties", 0,
			"properties", fields));
}

/* ---- operations ---- */

/* What may be changed of an object is all of it, and nothing must be. */
static json_t *partial_of(json_t *schemas, const struct shape *shape)
{
	char name[64];

	snprintf(name, sizeof(name), "Partial%s", shape->name);
	if (!json_object_get(schemas, name))
		json_object_set_new(schemas, name, schema_of_shape(shape, true));
	return refer(name);
}

/* NULL: it has none. */
static json_t *body_of(json_t *schemas, const struct route *route)
{
	json_t *schema;

	if (!strcmp(route->method, "GET") || !strcmp(route->method, "DELETE"))
		return NULL;
	if (route->takes) {
		add_shape(schemas, route->takes);
		schema = refer(route->takes->name);
	} else if (route->kind == N_OBJECT_KINDS) {
		schema = json_object();
	} else if (!strcmp(route->method, "PUT")) {
		schema = refer(object_class[route->kind].shape->name);
	} else {
		schema = partial_of(schemas, object_class[route->kind].shape);
	}
	return json_pack("{s:b, s:{s:{s:o}}}", "required", !route->body_is_optional, "content",
		"application/json", "schema", schema);
}

/* JSON, or lines of it, of this shape; NULL: it is text. */
static json_t *answer_of(const char *help, const char *type, const struct shape *shape)
{
	json_t *schema = shape ? refer(shape->name) : json_pack("{s:s}", "type", "string");

	return json_pack(
		"{s:s, s:{s:{s:o}}}", "description", help, "content", type, "schema", schema);
}

static json_t *answers_of(json_t *schemas, const struct route *route)
{
	const struct shape *shape = route->gives;
	json_t *answers = json_object();

	if (!shape && !strcmp(route->method, "GET") && route->kind != N_OBJECT_KINDS)
		shape = object_class[route->kind].shape;
	if (shape)
		add_shape(schemas, shape);
	if ((shape || route->type) && !route->is_refused)
		json_object_set_new(answers, "200",
			answer_of("it is answered", route->type ? route->type : "application/json",
				shape));
	else if (!route->is_refused)
		json_object_set_new(
			answers, "204", json_pack("{s:s}", "description", "it is done"));
	json_object_set_new(answers, "default",
		answer_of("it is refused, and why", "application/json", &error_shape));
	return answers;
}

static const char *when_of(const struct route *route)
{
	if (route->is_refused)
		return "Always refused: it is not built in.";
	switch (route->when) {
	case BEFORE: return "Before the start.";
	case AFTER: return "After the start.";
	default: return "At any time.";
	}
}

/* "/drives/{id}", and "put_drives_id" as a name for programs. */
static void spell(const struct route *route, char path[64], char name[64])
{
	size_t n = 0;

	snprintf(path, 64, "/");
	for (const char *c = route->path; *c; c++) {
		n = strlen(path);
		snprintf(path + n, 64 - n, *c == '*' ? "{id}" : "%.1s", c);
	}
	snprintf(name, 64, "%s%s", route->method, path[1] ? path : "/instance");
	n = 0;
	for (const char *c = name; *c; c++)
		if (*c != '{' && *c != '}')
			name[n++] = isalpha((unsigned char)*c) ? (char)tolower(*c) : '_';
	name[n] = 0;
}

static void add_route(json_t *paths, json_t *schemas, const struct route *route)
{
	char path[64], name[64], method[8] = "";
	json_t *item, *operation, *body = body_of(schemas, route);

	for (size_t i = 0; route->method[i] && i < sizeof(method) - 1; i++)
		method[i] = (char)tolower(route->method[i]);
	spell(route, path, name);
	operation = json_pack("{s:s, s:s, s:s, s:o}", "operationId", name, "summary", route->help,
		"description", when_of(route), "responses", answers_of(schemas, route));
	if (body)
		json_object_set_new(operation, "requestBody", body);
	if (!json_object_get(paths, path)) {
		item = json_object();
		if (strchr(path, '{'))
			json_object_set_new(item, "parameters",
				json_pack("[{s:s, s:s, s:b, s:{s:s, s:s}}]", "name", "id", "in",
					"path", "required", 1, "schema", "type", "string",
					"pattern", "^[A-Za-z0-9_]{1,64}$"));
		json_object_set_new(paths, path, item);
	}
	json_object_set_new(json_object_get(paths, path), method, operation);
}

/* ---- all ---- */

json_t *openapi_describe(void)
{
	json_t *paths = json_object(), *schemas = json_object();

	add_all_objects(schemas);
	add_shape(schemas, &error_shape);
	json_object_set_new(schemas, "Settings", config_json_schema());
	for (size_t i = 0; i < api_n_routes; i++)
		add_route(paths, schemas, &api_routes[i]);
	return json_pack("{s:s, s:{s:s, s:s, s:s}, s:o, s:{s:o}}", "openapi", "3.1.0", "info",
		"title", "Pronto", "version", PRONTO_VERSION, "description",
		"A machine by HTTP on a unix socket: Firecracker's operations (of its version " API_FIRECRACKER_VERSION
		"), and Pronto's own.  Settings are what a file for "
		"--config holds.",
		"paths", paths, "components", "schemas", schemas);
}
