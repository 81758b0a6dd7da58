// SPDX-License-Identifier: MIT
/* warm.c - a snapshot that is ready for machines to begin with */

#include "vm/warm.h"

#include "util/log.h"
#include "vm/control.h"
#include "vm/launch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int open_parts(struct warm *warm, struct diag *diag)
{
	const struct cpu_config *cpu = &warm->config.cpu;
	const struct kvm_extras extras = { .nested = cpu->nested, .pmu = cpu->pmu };
	int ret = guest_mem_init_saved(&warm->mem, warm->config.memory, warm->snapshot.memory_fd);

	if (ret)
		return diag_fail(diag, -ret, "%s: its memory cannot be mapped: %s", warm->path,
			strerror(-ret));
	ret = kvm_init(&warm->kvm, &extras, diag);
	if (!ret) {
		ret = kvm_query_cpuid(&warm->kvm, !warm->config.no_cache, diag);
		if (ret)
			kvm_fini(&warm->kvm);
	}
	if (ret)
		guest_mem_fini(&warm->mem);
	warm->has_parts = !ret;
	return ret;
}

int warm_open(struct warm *warm, const char *path, struct diag *diag)
{
	int ret;

	*warm = (struct warm){ .path = path, .leash_fd = -1 };
	config_init(&warm->config);
	ret = snapshot_open_state(&warm->snapshot, path, diag);
	if (!ret)
		ret = snapshot_load_config(&warm->snapshot, path, &warm->config, diag);
	if (!ret)
		ret = snapshot_open_memory(&warm->snapshot, path, NULL, diag);
	if (!ret && !config_shares_memory(&warm->config))
		ret = open_parts(warm, diag);
	if (ret)
		warm_close(warm);
	return ret;
}

void warm_close(struct warm *warm)
{
	if (warm->has_parts) {
		kvm_fini(&warm->kvm);
		guest_mem_fini(&warm->mem);
	}
	warm->has_parts = false;
	snapshot_close(&warm->snapshot);
	config_fini(&warm->config);
}

/* ---- one of them ---- */

/* With the number in place of each "%n"; NULL: out of memory. */
static char *numbered(const char *text, unsigned int number)
{
	size_t size = strlen(text) + 1, n = 0;
	char *out;

	for (const char *at = text; (at = strstr(at, "%n")); at += 2)
		size += 10;
	out = malloc(size);
	while (out && *text) {
		if (!strncmp(text, "%n", 2)) {
			n += (size_t)snprintf(out + n, size - n, "%u", number);
			text += 2;
		} else {
			out[n++] = *text++;
		}
	}
	if (out)
		out[n] = 0;
	return out;
}

/* It is the parent's, and was not changed since. */
static int keep_settings(void *, const char *, struct config *, struct diag *)
{
	return 0;
}

/* What they name stays as long as the process. */
static int apply_options(
	struct warm *warm, int argc, char **argv, unsigned int number, struct diag *diag)
{
	char **all = calloc((size_t)argc + 2, sizeof(*all));
	int ret;

	if (!all)
		return diag_fail(diag, ENOMEM, "out of memory");
	all[0] = argv[0];
	all[1] = (char *)warm->path; /* where a snapshot is named */
	for (int i = 1; i < argc; i++) {
		all[i + 1] = numbered(argv[i], number);
		if (!all[i + 1]) {
			for (; i > 1; i--)
				free(all[i]);
			free(all);
			return diag_fail(diag, ENOMEM, "out of memory");
		}
	}
	ret = config_parse_restore_args(&warm->config, argc + 1, all, keep_settings, NULL, diag);
	if (!ret && warm->config.memory_path)
		return diag_fail(diag, EINVAL, "option --from-memory: it is open already");
	return ret;
}

int warm_live(struct warm *warm, int argc, char **argv, unsigned int number, uint64_t since_ns)
{
	struct launch *launch = calloc(1, sizeof(*launch));
	struct diag diag;
	int ret = 0;

	if (!launch) {
		log_error("out of memory");
		return (int)exit_code_of(ENOMEM);
	}
	if (argc > 1)
		ret = apply_options(warm, argc, argv, number, &diag);
	if (!ret) {
		log_set_level(warm->config.log_level);
		control_catch_signals();
		launch->snapshot = &warm->snapshot;
		launch->warm = warm->has_parts ? warm : NULL;
		launch->leash_fd = warm->leash_fd;
		ret = launch_open(launch, &warm->config, since_ns, &diag);
	}
	if (ret) {
		if (ret < 0)
			log_error("%s", diag.text);
		free(launch);
		return ret < 0 ? (int)exit_code_of(-ret) : EXIT_SUCCESS;
	}
	ret = (int)launch_run(launch);
	warm->has_parts = false; /* they were the machine's, and went with it */
	if (launch_close(launch) && !ret)
		ret = EXIT_HOST_ERROR;
	free(launch);
	return ret;
}
