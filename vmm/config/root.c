// SPDX-License-Identifier: MIT
/* root.c - a directory of the host as root file system, as a setting */

#include "config/table.h"

#include <errno.h>
#include <string.h>

#define AT(member) offsetof(struct root_config, member)

static const struct setting members[] = {
	{ "dir", 0, SETTING_PATH, ANYWHERE, .at = AT(dir) },
	{ "overlay", 0, SETTING_FLAG, ANYWHERE, .at = AT(overlay) },
	{ "ro", 0, SETTING_FLAG, ANYWHERE, .at = AT(read_only) },
	{ "rw", 0, SETTING_FLAG, ANYWHERE, .at = AT(writable) },
	{ "init", 0, SETTING_PATH, ANYWHERE, .at = AT(init) },
	{ "modules", 0, SETTING_PATH, ANYWHERE, .at = AT(modules) },
};

static int check(void *object, struct diag *diag)
{
	const struct root_config *root = object;

	if (!root->dir)
		return diag_fail(diag, EINVAL, "names no directory: give DIR");
	if (root->overlay + root->read_only + root->writable > 1)
		return diag_fail(diag, EINVAL, "`overlay`, `ro` and `rw` exclude each other");
	return 0;
}

const struct schema config_root_schema = {
	.settings = members,
	.n = ARRAY_SIZE(members),
	.bare = "dir",
	.check = check,
};

static int check_company(const struct config *config, struct diag *diag)
{
	const struct setting_list *shares = &config->devices[DEVICE_share];

	if (config->initrd)
		return diag_fail(diag, EINVAL,
			"--initrd and --root exclude each other: the initrd of --root is one that "
			"mounts it");
	if (config->exec && config->root.init)
		return diag_fail(diag, EINVAL,
			"--exec and `init` of --root exclude each other: a command needs our init");
	if (config->exec && config->debug_exit != DEBUG_EXIT_OFF)
		return diag_fail(diag, EINVAL,
			"--exec and --debug-exit exclude each other: both say what pronto's status "
			"is to be");
	for (size_t i = 0; i < shares->n; i++) {
		const struct fs_options *share = (const struct fs_options *)shares->items + i;

		if (!strcmp(share->tag, CONFIG_ROOT_TAG))
			return diag_fail(diag, EINVAL,
				"--share: the tag " CONFIG_ROOT_TAG
				" is that of --root: take another");
	}
	return 0;
}

int config_add_root(struct config *config, struct diag *diag)
{
	const struct setting *row = schema_find(&config_schema, "share", FROM_JSON);
	struct fs_options *share;
	int ret;

	if (!config->root.dir)
		return config->exec ? diag_fail(diag, EINVAL,
					      "--exec is for the shell of --root: give that, too")
		                    : 0;
	ret = check_company(config, diag);
	if (ret)
		return ret;
	share = setting_add_item(row, config, diag);
	if (!share)
		return -EINVAL;
	share->dir = strdup(config->root.dir);
	share->tag = strdup(CONFIG_ROOT_TAG);
	share->read_only = !config->root.writable;
	return share->dir && share->tag ? 0 : diag_fail(diag, ENOMEM, "out of memory");
}

enum debug_exit_at config_exit_port(const struct config *config)
{
	return config->exec ? DEBUG_EXIT_AT_B : config->debug_exit;
}
