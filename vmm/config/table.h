/* SPDX-License-Identifier: MIT */
/* table.h - the settings of `pronto run`, for the files that make up config.h's module */
#ifndef CONFIG_TABLE_H
#define CONFIG_TABLE_H

#include "config/config.h"
#include "config/schema.h"

extern const struct schema config_schema;

/* What may have been meant by a name that the schema has not from there: "did you mean ...?",
 * written to `hint`, or what there is instead.  NULL if nobody knows.
 */
#define CONFIG_HINT 64
const char *config_hint(
	char hint[CONFIG_HINT], const struct schema *schema, const char *name, enum source from);

/* Whether it is a setting from there, or what another program calls one. */
bool config_is_known(const char *name, enum source from);

/* Apply the JSON file at `path`.  Errors as config_parse_json(). */
int config_load_file(struct config *config, const char *path, struct diag *diag);

#endif
