// SPDX-License-Identifier: MIT
/* blk_options.c - what can be said of a disk */

#include "dev/blk.h"
#include "util/bits.h"

#include <errno.h>
#include <string.h>

#define AT(member) offsetof(struct blk_options, member)

static const struct word overlays[] = {
	{ "off", DISK_OVERLAY_NONE },
	{ "on", DISK_OVERLAY_GONE },
	{ "", DISK_OVERLAY_KEPT },
	{ NULL, 0 },
};

static const struct word engines[] = {
	{ "auto", DISK_ENGINE_AUTO },
	{ "uring", DISK_ENGINE_URING },
	{ "sync", DISK_ENGINE_SYNC },
	{ NULL, 0 },
};

static const struct setting settings[] = {
	{ "path", 0, SETTING_PATH, ANYWHERE, .at = AT(path) },
	{ "ro", 0, SETTING_FLAG, ANYWHERE, .at = AT(read_only) },
	{ "direct", 0, SETTING_FLAG, ANYWHERE, .at = AT(direct) },
	{ "overlay", 0, SETTING_WORD, ANYWHERE, .at = AT(overlay), .words = overlays,
		.path_at = AT(overlay_path), .takes = "[=FILE]" },
	{ "serial", 0, SETTING_TEXT, ANYWHERE, .at = AT(serial), .max = VIRTIO_BLK_ID_BYTES },
	{ "queues", 0, SETTING_NUMBER, ANYWHERE, .at = AT(n_queues), .min = 1,
		.max = VIRTIO_MAX_QUEUES },
	{ "vhost-user", 0, SETTING_PATH, ANYWHERE, .at = AT(vhost_user) },
	{ "engine", 0, SETTING_WORD, ANYWHERE, .at = AT(engine), .words = engines },
	{ "rate", 0, SETTING_RATE, ANYWHERE, .at = AT(rate), .takes = "RATE" },
	{ "ops", 0, SETTING_RATE, ANYWHERE, .at = AT(ops), .takes = "RATE" },
};

static void options_init(void *item)
{
	struct blk_options *options = item;

	options->n_queues = 1;
}

static int options_check(void *item, struct diag *diag)
{
	const struct blk_options *options = item;

	if (options->vhost_user) {
		if (options->path || options->read_only || options->direct || options->serial ||
			options->overlay != DISK_OVERLAY_NONE || options->engine ||
			options->rate.tokens || options->ops.tokens)
			return diag_fail(diag, EINVAL,
				"with `vhost-user` only `queues` can be said here: all else is the "
				"business of what serves the disk");
		return 0;
	}
	if (!options->path)
		return diag_fail(diag, EINVAL, "names no file: give PATH");
	if (options->read_only && options->overlay != DISK_OVERLAY_NONE)
		return diag_fail(diag, EINVAL, "`ro` and `overlay` exclude each other");
	return 0;
}

const struct schema blk_schema = {
	.settings = settings,
	.n = ARRAY_SIZE(settings),
	.bare = "path",
	.size = sizeof(struct blk_options),
	.init = options_init,
	.check = options_check,
};

int blk_check_serials(const struct setting_list *list, struct diag *diag)
{
	const struct blk_options *disks = list->items;

	for (size_t i = 0; i < list->n; i++)
		for (size_t j = 0; disks[i].serial && j < i; j++)
			if (disks[j].serial && !strcmp(disks[i].serial, disks[j].serial))
				return diag_fail(diag, EINVAL,
					"two disks have the serial '%s'; give each its own",
					disks[i].serial);
	return 0;
}
