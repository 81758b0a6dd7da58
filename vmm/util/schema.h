/* SPDX-License-Identifier: MIT */
/* schema.h - what kinds of settings there are, and how a text becomes the value of one
 *
 * A schema is a table of settings, each a row: what it is called, what it takes, and where in a
 * struct its value goes.  config/ has the one of `pronto run`, and reads command line and JSON by
 * it; what they find they hand setting_set(), as text.
 */
#ifndef UTIL_SCHEMA_H
#define UTIL_SCHEMA_H

#include "util/diag.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum setting_kind {
	SETTING_PATH,    /* char *, owned by the struct, never empty; NULL: not set */
	SETTING_TEXT,    /* char * as above, of at most .max bytes */
	SETTING_LIST,    /* texts with blanks between: char * as above; in JSON an array, too */
	SETTING_NUMBER,  /* uint32_t, .min to .max */
	SETTING_SIZE,    /* uint64_t bytes, .min to .max, a multiple of .step */
	SETTING_RATE,    /* struct rate_limit: what rate_parse() knows */
	SETTING_FLAG,    /* bool: on or off; in JSON true or false */
	SETTING_WORD,    /* an enum: one of .words */
	SETTING_KEY,     /* int: the code of a control key, written ^A; -1: none */
	SETTING_OBJECT,  /* a struct: KEY=VALUE,... of .members; in JSON an object */
	SETTING_OBJECTS, /* struct setting_list of at most .max such; in JSON an array of objects */
	SETTING_ACTION,  /* nothing is kept: .act does it */
};

/* From where a setting can come. */
enum source {
	FROM_ARGS = 1,
	FROM_JSON = 2,
	ANYWHERE = FROM_ARGS | FROM_JSON,
	FROM_ARGS_FIRST = 4, /* an option that takes effect before all others */
	ON_RESTORE = 8,      /* an option of a machine that goes on from a snapshot */
	EVERYWHERE = ANYWHERE | ON_RESTORE,
};

/* One word of an enumeration; a table of them ends with NULL.  Behind a word that is empty or ends
 * in a colon stands a path.  "on" and "off" are also true and false of JSON.
 */
struct word {
	const char *word;
	int value;
};

/* An object is written as pieces with commas between: KEY=VALUE, or a flag's KEY.  A comma of a
 * value is written twice.
 */
struct schema {
	const struct setting *settings;
	size_t n;

	/* The member that the first piece sets if it has no '=' and is no flag's key; NULL: none.
	 */
	const char *bare;

	/* Of a list's items: the size of one, and what gives a zeroed one its defaults, which own
	 * nothing, or NULL.
	 */
	size_t size;
	void (*init)(void *item);

	/* Whether the object is usable as a whole, asked when all that one text or JSON object
	 * names has been set: 0, or -errno and what is wrong.  NULL: it always is.
	 */
	int (*check)(void *object, struct diag *diag);
};

/* What SETTING_OBJECTS keeps; the row's .members->size is an item's. */
struct setting_list {
	void *items;
	size_t n;
	bool off; /* "off" was said last: nothing is to be there by itself either */
};

struct setting {
	const char *name; /* long option, and key */
	char letter;      /* short option, or 0 */
	enum setting_kind kind;
	enum source source;
	size_t at; /* where in its struct the value is */

	uint64_t min, max, step;
	const struct word *words;
	size_t path_at;               /* where the path behind a word is: char *, owned */
	const struct schema *members; /* of the inner struct, or of each item */
	int (*act)(void *base, const char *text, struct diag *diag);

	const char *takes; /* the argument, for people; "[=A]": optional; NULL: as the kind says */
	const char *means; /* the value if the argument is absent; NULL: "on" */
	const char *help;
};

/* Set a setting of the struct at `base`; a list is added to, an object keeps the members that
 * `text` does not name, a list of objects grows by the one that `text` is, or is empty after "off".
 * 0; 1 if an action says
 * that this was all that was asked for; -errno and what is wrong with the text (the caller says
 * whose it is).
 */
int setting_set(const struct setting *s, void *base, const char *text, struct diag *diag);

/* Make a list of these texts. */
int setting_set_list(
	const struct setting *s, void *base, const char *const *items, size_t n, struct diag *diag);

/* Add an item with its defaults to a list of objects, for the caller to fill; it stays where it is
 * until the next is added.  NULL and why if there cannot be one more.
 */
void *setting_add_item(const struct setting *s, void *base, struct diag *diag);

/* Take the last item away again, with what it owns. */
void setting_drop_item(const struct setting *s, void *base);

/* Free what a setting owns; a text is NULL then, a list empty. */
void setting_clear(const struct setting *s, void *base);

/* Make `to` the same as `from`, a list's item with no objects in it, with texts of its own, which
 * schema_clear() frees.  -ENOMEM and diag: it owns nothing.
 */
int schema_copy(const struct schema *schema, void *to, const void *from, struct diag *diag);
void schema_clear(const struct schema *schema, void *object);

/* How the argument is written: "FILE", "a|b|file:PATH", "[=FILE]"; "" if there is none. */
#define SETTING_USAGE 128
void setting_usage(const struct setting *s, char usage[SETTING_USAGE]);

/* Ask the schema's check, if it has one. */
int schema_check(const struct schema *schema, void *object, struct diag *diag);

/* The names of all, "a, b". */
void schema_names(const struct schema *schema, char names[SETTING_USAGE]);

/* The setting of this name, if it can come from there, or NULL. */
const struct setting *schema_find(const struct schema *schema, const char *name, enum source from);

/* The name that begins with `name`, or is most like it, among those that can come from there; NULL
 * if none is close.
 */
const char *schema_nearest(const struct schema *schema, const char *name, enum source from);

#endif
