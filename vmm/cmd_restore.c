// SPDX-License-Identifier: MIT
/* cmd_restore.c - pronto restore: have a VM go on from where it was saved */

#include "cmd.h"
#include "config/config.h"
#include "confine/confine.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/launch.h"
#include "vm/snapshot.h"
#include "vm/vm.h"

#include <stdlib.h>

struct restore {
	struct config config;
	struct snapshot snapshot;
	const char *path;
	struct launch launch;
};

/* Its settings are to be changed by what follows, so they come first. */
static int load_settings(void *ctx, const char *path, struct config *config, struct diag *diag)
{
	struct restore *restore = ctx;
	int ret = snapshot_open_state(&restore->snapshot, path, diag);

	restore->path = path;
	return ret ? ret : snapshot_load_config(&restore->snapshot, path, config, diag);
}

static int restore_guest(struct restore *restore, uint64_t since_ns)
{
	struct launch *launch = &restore->launch;
	struct diag diag;
	int ret = launch_open_memory(&restore->snapshot, restore->path, &restore->config, &diag);

	launch->snapshot = &restore->snapshot;
	if (!ret)
		ret = launch_open(launch, &restore->config, since_ns, &diag);
	if (ret) {
		log_error("%s", diag.text);
		return (int)exit_code_of(-ret);
	}
	ret = (int)launch_run(launch);
	if (launch_close(launch) && !ret)
		ret = EXIT_HOST_ERROR;
	return ret;
}

int cmd_restore(int argc, char **argv)
{
	/* Most of it is never touched; from the heap it would be, to be zeroed. */
	static struct restore this_one;
	struct restore *restore = &this_one;
	uint64_t since_ns = timeline_now();
	struct diag diag;
	int ret;

	restore->snapshot.memory_fd = -1;
	config_init(&restore->config);
	ret = config_parse_restore_args(
		&restore->config, argc, argv, load_settings, restore, &diag);
	if (ret < 0)
		log_error("%s", diag.text);
	if (ret) {
		ret = ret < 0 ? (int)exit_code_of(-ret) : EXIT_SUCCESS;
	} else {
		log_set_level(restore->config.log_level);
		confine_enter_as(&restore->config, NULL);
		control_catch_signals();
		ret = restore_guest(restore, since_ns);
	}
	snapshot_close(&restore->snapshot);
	config_fini(&restore->config);
	return ret;
}
