/* SPDX-License-Identifier: MIT */
/* json_write.h - settings as the JSON text that they can be read from again */
#ifndef CONFIG_JSON_WRITE_H
#define CONFIG_JSON_WRITE_H

#include "config/config.h"

/* All settings of a config that is complete, as config_parse_json() takes them; what was added to
 * them by itself is among them, so that it is not to be completed again.  Left out is what one run
 * is told of itself: how much it says, its timeline, whether it is a dry one.  The caller's, to be
 * freed; NULL: a text among them is not UTF-8, or there is no memory.
 */
char *config_write_json(const struct config *config);

#endif
