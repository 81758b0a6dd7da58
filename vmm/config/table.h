/* SPDX-License-Identifier: MIT */
/* table.h - the settings of `pronto run`, for the files that make up config.h's module */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config/config.h"
#include "util/schema.h"

extern const struct schema config_schema;

/* What may have been meant by a name that the schema has not from there: "did you mean ...?",
 * written to `hint`, or what there is instead.  NULL if nobody knows.
 */
#define CONFIG_HINT 64
const char *config_hint(
	char hint[CONFIG_HINT], const struct schema *schema, const char *name, enum source from);

/* Whether it is a setting from there, or what another program calls one. */
bool config_is_known(const char *name, enum source from);

/* Apply the members of the JSON object `text` to the struct at `base`, whose schema it is.  `name`
 * and errors as with config_parse_json().
 */
int config_apply_json(const struct schema *schema, void *base, const char *name, const char *text,
	size_t size, struct diag *diag);

/* Whether no two consoles are at standard input and output: 0, or -EINVAL and diag. */
int config_check_consoles(const struct config *config, struct diag *diag);

/* Apply the JSON file at `path` to a struct config, as an action does.  Errors as
 * config_parse_json().
 */
int config_load_file(void *config, const char *path, struct diag *diag);

extern const struct schema config_root_schema; /* of a struct root_config */

/* Add the share that --root is, and see that it goes together with the rest.  -EINVAL, diag. */
int config_add_root(struct config *config, struct diag *diag);

extern const struct schema config_jail_schema; /* of a struct jail_config */
extern const struct jail_config config_no_jail;

/* See that --jail goes together with the rest.  -EINVAL, diag. */
int config_check_jail(const struct config *config, struct diag *diag);

#endif
