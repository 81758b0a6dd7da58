/* SPDX-License-Identifier: MIT */
/* shape.h - what a JSON object of the API may hold, as a table
 *
 * An object that a client sends is read by its shape into one that has every field that is shown:
 * what was left out, or is null, has its default.  The sentences for what is wrong are like those
 * that Firecracker's JSON reader has, since clients look for words of them.
 */
#ifndef API_SHAPE_H
#define API_SHAPE_H

#include "util/diag.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum field_type {
	FIELD_TEXT,
	FIELD_FLAG,
	FIELD_NUMBER,  /* 0 to .max */
	FIELD_WORD,    /* one of .words */
	FIELD_OBJECT,  /* of .inner */
	FIELD_TEXTS,   /* an array of texts */
	FIELD_OBJECTS, /* an array of .inner */
	FIELD_ANY,     /* whatever it is */
};

struct field {
	const char *name;
	uint64_t max; /* of a number; 0: UINT32_MAX.  Bytes of a text; 0: 4096 */
	const char *const *words;
	const struct shape *inner;
	/* Of one that was left out, as JSON; NULL: null. */
	const char *fallback;
	enum field_type type;
	bool required;
	bool unshown; /* while it is null */
};

struct shape {
	const char *name; /* what it is called in the API's description, as in Firecracker's */
	const struct field *fields;
	size_t n;
	bool lax; /* fields that it does not know are passed over */
};

/* A shape called `id`_shape, of these fields; static, if that stands before. */
#define SHAPE(id, name, ...)     MAKE_SHAPE(id, name, false, __VA_ARGS__)
#define LAX_SHAPE(id, name, ...) MAKE_SHAPE(id, name, true, __VA_ARGS__)
#define MAKE_SHAPE(id, name, lax, ...)                                                 \
	const struct shape id##_shape = { name, (const struct field[]){ __VA_ARGS__ }, \
		sizeof((const struct field[]){ __VA_ARGS__ }) / sizeof(struct field), lax }

/* The object `in` with all its fields; a new reference.  NULL, and diag. */
json_t *shape_read(const struct shape *shape, const json_t *in, struct diag *diag);

/* The same of one that changes another: what was left out is left out, and so is null. */
json_t *shape_read_partial(const struct shape *shape, const json_t *in, struct diag *diag);

#endif
