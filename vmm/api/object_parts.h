/* SPDX-License-Identifier: MIT */
/* object_parts.h - the fields of an object that has been read by its shape, for the files that make
 * up objects.h's module
 */
#ifndef API_OBJECT_PARTS_H
#define API_OBJECT_PARTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* NULL: it is null. */
static inline const char *text_of(const json_t *object, const char *field)
{
	return json_string_value(json_object_get(object, field));
}

static inline uint64_t number_of(const json_t *object, const char *field)
{
	return (uint64_t)json_integer_value(json_object_get(object, field));
}

static inline bool flag_of(const json_t *object, const char *field)
{
	return json_is_true(json_object_get(object, field));
}

static inline bool is_set(const json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);

	return value && !json_is_null(value);
}

#endif
