/* SPDX-License-Identifier: MIT */
/* table.h - the table of settings, for the three files that make up config.h's module
 *
 * config.c holds the table and what each setting accepts; args.c reads the command line,
 * json.c a JSON text.
 */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config/config.h"

/* What JSON calls the value; set() always gets its text. */
enum kind {
	KIND_FLAG,           /* true or false in JSON; an option without argument; set("true") */
	KIND_FLAG_OR_STRING, /* any of these in JSON; an option with or without =VALUE */
	KIND_STRING,         /* a string in JSON */
	KIND_NUMBER,         /* a whole number in JSON */
	KIND_SIZE,           /* "512M", or a whole number of bytes */
};

enum place {
	IN_ARGS = 1,
	IN_JSON = 2,
	EVERYWHERE = IN_ARGS | IN_JSON,
	IN_ARGS_FIRST = 4, /* an option that takes effect before all others */
};

struct setting {
	const char *name; /* JSON key and long option */
	char letter;      /* short option, or 0 */
	enum kind kind;
	enum place place;
	const char *arg; /* NULL for a flag; "a|b" are words to choose from; [=A] may be absent */
	const char *help;
	/* 0; 1 if this is all that was asked for; or -errno and what is wrong with the value (the
	 * caller says whose it is).
	 */
	int (*set)(struct config *config, const char *value, struct diag *diag);
};

#define CONFIG_N_SETTINGS 19
extern const struct setting config_settings[CONFIG_N_SETTINGS];

/* The name most like `name` among the settings in `place`, or NULL if none is close. */
const char *config_nearest_name(const char *name, enum place place);

/* Apply the JSON file at `path`.  Errors as config_parse_json(). */
int config_load_file(struct config *config, const char *path, struct diag *diag);

#endif
