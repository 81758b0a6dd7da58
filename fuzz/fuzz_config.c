// SPDX-License-Identifier: MIT
/* fuzz_config.c - settings: JSON, or after "run\n" arguments, one on each line */

#include "config/config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define MAX_ARGS 64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int parse_args(struct config *config, char *text, struct diag *diag)
{
	char *argv[MAX_ARGS + 1] = { 0 };
	int argc = 0;

	while (argc < MAX_ARGS && (argv[argc] = strsep(&text, "\n")) != NULL) {
		/* A --config file is looked for here only: who knows what else an open() would do.
		 */
		for (char *c = argv[argc]; *c; c++)
			if (*c == '/')
				*c = '_';
		argc++;
	}
	argv[argc] = NULL;
	return config_parse_args(config, argc, argv, diag);
}

static void check(const struct config *config, int ret, const struct diag *diag)
{
	BUG_ON(config->memory < CONFIG_MIN_MEMORY || config->memory > CONFIG_MAX_MEMORY);
	BUG_ON(config->memory % 4096);
	BUG_ON(config->cpus < 1 || config->cpus > CONFIG_MAX_CPUS);
	BUG_ON(config->grace_s > CONFIG_MAX_GRACE_S);
	BUG_ON((config->console == CONSOLE_FILE || config->console == CONSOLE_SOCKET) !=
		!!config->console_path);
	BUG_ON((config->debug_console == DEBUG_CONSOLE_FILE) != !!config->debug_console_path);
	BUG_ON(config->escape_key < -1 || config->escape_key > 0x1f);
	BUG_ON((config->timeline == TIMELINE_TO_FILE) != !!config->timeline_path);
	BUG_ON(config->escape_key < -1 || config->escape_key > 0x1f);
	BUG_ON(config->log_level > LOG_LEVEL_DEBUG);
	BUG_ON(ret != 0 && ret != 1 && ret != -EINVAL && ret != -ENOMEM);
	BUG_ON(ret < 0 && !diag->text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static FILE *nowhere;
	FILE *saved = stdout;
	struct diag diag = { "" };
	struct config config;
	char *text = malloc(size + 1);
	int ret;

	if (!nowhere)
		nowhere = fopen("/dev/null", "w");
	BUG_ON(!text || !nowhere);
	memcpy(text, data, size);
	text[size] = '\0';
	config_init(&config);
	if (size >= 4 && !memcmp(text, "run\n", 4)) {
		stdout = nowhere; /* --help */
		ret = parse_args(&config, text, &diag);
		stdout = saved;
		BUG_ON(!ret && !config.kernel);
	} else {
		ret = config_parse_json(&config, "input", text, size, &diag);
	}
	check(&config, ret, &diag);
	config_fini(&config);
	free(text);
	return 0;
}
