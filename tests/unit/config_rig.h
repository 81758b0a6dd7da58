/* SPDX-License-Identifier: MIT */
/* config_rig.h - command lines of `pronto run`, for unit tests of settings
 *
 * Needs cmocka.h before it.
 */
#ifndef TESTS_UNIT_CONFIG_RIG_H
#define TESTS_UNIT_CONFIG_RIG_H

#include "config/table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 32

/* Parse `line`, its words at blanks, as the arguments of `pronto run`. */
static inline int parse(struct config *config, const char *line, struct diag *diag)
{
	char *argv[MAX_ARGS + 1] = { "run" }, *copy = strdup(line), *rest = copy, *word;
	int argc = 1, ret;

	assert_non_null(copy);
	while ((word = strsep(&rest, " ")) != NULL) {
		assert_true(argc < MAX_ARGS);
		argv[argc++] = word;
	}
	config_init(config);
	ret = config_parse_args(config, argc, argv, diag);
	free(copy);
	return ret;
}

static inline void expect_refusal(const char *line, const char *message)
{
	struct config config;
	struct diag diag;

	assert_int_equal(parse(&config, line, &diag), -EINVAL);
	assert_string_equal(diag.text, message);
	config_fini(&config);
}

#endif
