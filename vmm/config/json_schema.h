/* SPDX-License-Identifier: MIT */
/* json_schema.h - the settings' table as JSON Schema */
#ifndef CONFIG_JSON_SCHEMA_H
#define CONFIG_JSON_SCHEMA_H

#include <jansson.h>

/* What `pronto run --config` takes, as a schema of JSON Schema 2020-12 that refers to no other: a
 * new reference.  It allows all that config_parse_json() does, and refuses what is of another type
 * or out of range; what goes together with what it does not know.
 */
json_t *config_json_schema(void);

#endif
