// SPDX-License-Identifier: MIT
/* warm.c - a snapshot that is ready for machines to begin with */

#include "vm/warm.h"

#include "confine/confine.h"
#include "dev/blk.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/control.h"
#include "vm/launch.h"
#include "vm/vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int open_parts(struct warm *warm, struct diag *diag)
{
	const struct cpu_config *cpu = &warm->config.cpu;
	const struct kvm_extras extras = { .nested = cpu->nested, .pmu = cpu->pmu };
	int ret = guest_mem_init_saved(&warm->mem, warm->config.memory, warm->snapshot.memory_fd);

	if (ret)
		return diag_fail(diag, -ret, "%s: its memory cannot be mapped: %s", warm->path,
			error_text(-ret));
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

/* Only its file is kept open; where it is, is said if that is cut. */
static int note_memory(struct snapshot *snapshot, const struct vm *vm, struct diag *diag)
{
	if (vm->mem.saved_fd < 0)
		return 0;
	snapshot->memory_fd = vm->mem.saved_fd;
	snapshot->memory_path = strdup(vm->snapshot->memory_path);
	return snapshot->memory_path ? 0 : diag_fail(diag, ENOMEM, "out of memory");
}

int warm_open_copy(struct warm *warm, struct vm *from, struct device_copies *copies, uint8_t *state,
	size_t size, struct diag *diag)
{
	int ret;

	*warm = (struct warm){ .path = "fork", .leash_fd = -1, .from = from, .copies = copies };
	config_init(&warm->config);
	ret = snapshot_take_state(&warm->snapshot, state, size, diag);
	if (!ret)
		ret = snapshot_load_config(&warm->snapshot, warm->path, &warm->config, diag);
	if (!ret)
		ret = note_memory(&warm->snapshot, from, diag);
	if (ret) {
		warm_close(warm);
		return ret;
	}
	warm->kvm = from->kvm;
	warm->mem = from->mem;
	warm->mem.watch = NULL; /* the kernel watches the other's alone */
	warm->has_parts = true;
	return 0;
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

/* How many characters of `text` stand for a number, and with how many digits at least: "%n", "%2n"
 * to "%9n"; 0: none.
 */
static size_t look_for_number(const char *text, int *digits)
{
	bool is_padded = text[0] == '%' && text[1] > '0' && text[1] <= '9' && text[2] == 'n';

	*digits = is_padded ? text[1] - '0' : 1;
	return is_padded ? 3 : strncmp(text, "%n", 2) ? 0 : 2;
}

/* With the number in the place of each; NULL: out of memory. */
static char *numbered(const char *text, unsigned int number)
{
	char *out = NULL;
	size_t size;
	FILE *file = open_memstream(&out, &size);
	int digits;

	while (file && *text) {
		size_t n = look_for_number(text, &digits);

		if (n)
			fprintf(file, "%0*u", digits, number);
		else
			fputc(*text, file);
		text += n ?: 1;
	}
	if (file && fclose(file)) {
		free(out);
		return NULL;
	}
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

/* ---- of a machine that goes on elsewhere ---- */

/* What is written to by a disk of these options; NULL: nothing that others have. */
static const char *written_path(const struct blk_options *disk)
{
	if (disk->read_only || disk->overlay == DISK_OVERLAY_GONE)
		return NULL;
	return disk->overlay == DISK_OVERLAY_KEPT ? disk->overlay_path : disk->path;
}

static bool is_one_file(const char *a, const char *b)
{
	struct stat at_a, at_b;

	return a && b && !stat(a, &at_a) && !stat(b, &at_b) && at_a.st_dev == at_b.st_dev &&
	       at_a.st_ino == at_b.st_ino;
}

static int check_disk(
	const struct blk_options *disk, const struct setting_list *theirs, struct diag *diag)
{
	const struct blk_options *their = theirs->items;
	const char *path = written_path(disk);

	for (size_t i = 0; i < theirs->n; i++)
		if (is_one_file(path, written_path(&their[i])))
			return diag_fail(diag, EBUSY,
				disk->overlay == DISK_OVERLAY_KEPT
					? "--disk: %.300s: is the overlay of the machine that was "
					  "forked, which writes to it; only one that goes with its "
					  "machine (`overlay`) can be forked"
					: "--disk: %.300s: the machine that was forked writes to it; "
					  "pause that one, copy the file, fork, and give the copy: "
					  "--disk path=COPY",
				path);
	return 0;
}

/* Where files cannot be locked nothing else would keep the two apart. */
static int check_disks(const struct warm *warm, struct diag *diag)
{
	const struct setting_list *ours = &warm->config.devices[DEVICE_disk];
	struct config before;
	int ret;

	if (!warm->from)
		return 0;
	config_init(&before);
	ret = snapshot_load_config(&warm->snapshot, warm->path, &before, diag);
	for (size_t i = 0; i < ours->n && !ret; i++)
		ret = check_disk((const struct blk_options *)ours->items + i,
			&before.devices[DEVICE_disk], diag);
	config_fini(&before);
	return ret;
}

static void confine(const struct warm *warm)
{
	struct confine_kept ours = { 0 };

	confine_keep(&ours, warm->snapshot.memory_fd);
	if (warm->has_parts)
		confine_keep(&ours, warm->kvm.fd);
	confine_keep(&ours, warm->leash_fd);
	for (size_t i = 0; warm->copies && i < ARRAY_SIZE(warm->copies->fd); i++)
		confine_keep(&ours, warm->copies->fd[i]);
	confine_enter_as(&warm->config, &ours);
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
	if (!ret)
		ret = check_disks(warm, &diag);
	if (!ret) {
		log_set_level(warm->config.log_level);
		confine(warm);
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
