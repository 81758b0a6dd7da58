// SPDX-License-Identifier: MIT
/* jail.c - what a process of root's is to become, as a setting */

#include "config/table.h"

#include <errno.h>
#include <string.h>

#define AT(member)  offsetof(struct jail_config, member)
#define MAX_ID      (CONFIG_NO_ID - 1)
#define MAX_N_FILES (1 << 20)

static const struct setting members[] = {
	{ "uid", 0, SETTING_NUMBER, ANYWHERE, .at = AT(uid), .max = MAX_ID },
	{ "gid", 0, SETTING_NUMBER, ANYWHERE, .at = AT(gid), .max = MAX_ID },
	{ "netns", 0, SETTING_PATH, ANYWHERE, .at = AT(netns) },
	{ "cgroup", 0, SETTING_PATH, ANYWHERE, .at = AT(cgroup) },
	{ "no-file", 0, SETTING_NUMBER, ANYWHERE, .at = AT(n_files), .min = 1, .max = MAX_N_FILES },
	{ "fsize", 0, SETTING_SIZE, ANYWHERE, .at = AT(file_size), .min = 1, .max = INT64_MAX,
		.step = 1 },
};

static int check(void *object, struct diag *diag)
{
	const struct jail_config *jail = object;

	if (jail->uid == CONFIG_NO_ID || jail->gid == CONFIG_NO_ID)
		return diag_fail(
			diag, EINVAL, "does not say who to become: give both uid=N and gid=N");
	return 0;
}

const struct schema config_jail_schema = {
	.settings = members,
	.n = ARRAY_SIZE(members),
	.check = check,
};

const struct jail_config config_no_jail = { .uid = CONFIG_NO_ID, .gid = CONFIG_NO_ID };

bool config_has_jail(const struct config *config)
{
	return config->jail.uid != CONFIG_NO_ID;
}

void config_drop_jail(struct config *config)
{
	schema_clear(&config_jail_schema, &config->jail);
	config->jail = config_no_jail;
}

int config_check_jail(const struct config *config, struct diag *diag)
{
	if (!config_has_jail(config))
		return 0;
	if (config->instant.use != INSTANT_OFF)
		return diag_fail(diag, EINVAL,
			"--instant and --jail exclude each other: a machine in a jail saves nothing");
	if (config->memory_from == MEMORY_FROM_HANDLER)
		return diag_fail(diag, EINVAL,
			"--from-memory uffd: and --jail exclude each other: who waits for the memory "
			"would stay outside");
	return 0;
}
