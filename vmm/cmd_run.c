// SPDX-License-Identifier: MIT
/* cmd_run.c - pronto run: start a VM and see it through */

#include "cmd.h"
#include "config/config.h"
#include "confine/confine.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/launch.h"

#include <stdlib.h>

struct run {
	struct config config;
	struct launch launch;
};

static int run_launch(struct run *run, uint64_t since_ns)
{
	struct launch *launch = &run->launch;
	struct diag diag;
	int ret = launch_open(launch, &run->config, since_ns, &diag);

	if (ret) {
		log_error("%s", diag.text);
		return (int)exit_code_of(-ret);
	}
	ret = run->config.dry_run ? (int)launch_dry(launch) : (int)launch_run(launch);
	if (launch_close(launch) && !ret)
		ret = EXIT_HOST_ERROR;
	return ret;
}

int cmd_run(int argc, char **argv)
{
	/* Most of it is never touched; from the heap it would be, to be zeroed. */
	static struct run this_one;
	struct run *run = &this_one;
	uint64_t since_ns = timeline_now();
	struct diag diag;
	int ret;

	config_init(&run->config);
	ret = config_parse_args(&run->config, argc, argv, &diag);
	if (ret < 0)
		log_error("%s", diag.text);
	if (ret) {
		ret = ret < 0 ? (int)exit_code_of(-ret) : EXIT_SUCCESS;
	} else {
		log_set_level(run->config.log_level);
		confine_enter_as(&run->config, NULL);
		if (!run->config.dry_run)
			control_catch_signals();
		ret = run_launch(run, since_ns);
	}
	config_fini(&run->config);
	return ret;
}
