// SPDX-License-Identifier: MIT
/* cmd_run.c - pronto run: start a VM and see it through */

#include "boot/words.h"
#include "cmd.h"
#include "config/config.h"
#include "image/foreign.h"
#include "image/image.h"
#include "util/file.h"
#include "util/log.h"
#include "util/timeline.h"
#include "vm/start.h"
#include "vm/vm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct run {
	struct config config;
	struct image image;  /* what is entered */
	struct image kernel; /* what pvh-shim is given, if that is entered */
	struct boot_spec spec;
	uint64_t since_ns; /* when the program began, CLOCK_MONOTONIC */
	struct timeline timeline;
	FILE *timeline_file; /* where it goes; NULL if none is wanted */
	struct vm vm;
	struct diag diag;
};

static void run_close_files(struct run *run)
{
	if (run->spec.initrd_fd >= 0)
		close(run->spec.initrd_fd);
	if (run->spec.kernel)
		image_close(&run->kernel);
	image_close(&run->image);
}

/* Enter the kernel by PVH if that can be; else have pvh-shim entered, with the kernel for it. */
static int run_open_kernel(struct run *run)
{
	const struct config *config = &run->config;
	int ret;

	if (config->shim != SHIM_ALWAYS) {
		ret = image_open(&run->image, config->kernel, !config->no_cache, &run->diag);
		if (!run->image.needs_shim)
			return ret;
		if (!ret) {
			ret = image_require_pvh_entry(&run->image, &run->diag);
			image_close(&run->image);
		}
		if (config->shim == SHIM_NEVER)
			return ret;
	}
	ret = image_open_whole(&run->kernel, config->kernel, !config->no_cache, &run->diag);
	if (ret)
		return ret;
	ret = image_open_shim(&run->image, &run->diag);
	if (ret)
		image_close(&run->kernel);
	else
		run->spec.kernel = &run->kernel;
	return ret;
}

static void run_say_kernel(const struct run *run)
{
	const struct image *image = run->spec.kernel ? run->spec.kernel : &run->image;

	if (image->cache_fault.text[0])
		log_warn("%s: unpacked in memory, at each start (--no-cache: without this warning)",
			image->cache_fault.text);
	log_info("%s: %s%s%s%s%s", run->config.kernel, image_container_name(image->kind.container),
		image->from_cache ? ", found unpacked in the cache" : "",
		image->others_write ? ", not cached as others can write to it" : "",
		image->owned_file ? "" : ", read in place",
		!run->spec.kernel ? ""
		: run->config.shim == SHIM_ALWAYS
			? ", booted through pvh-shim as asked for"
			: ", booted through pvh-shim as it has no PVH entry");
}

/* Other kernels may be given kernels: Xen is. */
static void run_check_initrd(const struct run *run)
{
	const char *name = foreign_kernel_name(run->spec.initrd_fd);

	if (name && (run->spec.kernel || image_is_linux(&run->image)))
		log_warn("%s: it is %s and no initrd: are kernel and initrd swapped?",
			run->config.initrd, name);
}

/* Linux's banner is searched for only if there is something to say. */
static void run_check_cmdline(const struct run *run)
{
	const char *word = words_find_fatal(run->spec.cmdline);

	if (word && (run->spec.kernel || image_is_linux(&run->image)))
		log_warn(
			"the command line says %s: Linux will hang, or hear nothing of its devices (so "
			"that programs print nothing), for want of interrupts, which come by ACPI and "
			"the APICs alone; leave it out",
			word);
}

/* 0, or -errno, said. */
static int run_open_files(struct run *run)
{
	const struct config *config = &run->config;
	struct stat st;
	int ret;

	run->spec = (struct boot_spec){
		.image = &run->image,
		.initrd_fd = -1,
		.cmdline = config->cmdline ? config->cmdline : BOOT_DEFAULT_CMDLINE,
		.map = config->map_kernel,
		.n_cpus = config->cpus,
	};
	ret = run_open_kernel(run);
	if (ret) {
		log_error("%s: %s%s", config->kernel, run->diag.text,
			config->shim == SHIM_NEVER && run->image.needs_shim
				? "; or leave out --no-shim"
				: "");
		return ret;
	}
	run_say_kernel(run);
	run_check_cmdline(run);
	if (!config->initrd)
		return 0;
	run->spec.initrd_fd = file_open_regular(config->initrd, &st, &run->diag);
	if (run->spec.initrd_fd < 0) {
		log_error("%s: %s", config->initrd, run->diag.text);
		run_close_files(run);
		return run->spec.initrd_fd;
	}
	run->spec.initrd_size = (uint64_t)st.st_size;
	run_check_initrd(run);
	return 0;
}

/* Opened before the guest runs: what cannot be written is to be known before the boot, not after.
 * 0, or -errno, said.
 */
static int run_open_timeline(struct run *run)
{
	const char *path = run->config.timeline_path;
	int fd, err;

	if (run->config.timeline == TIMELINE_TO_NOWHERE)
		return 0;
	atomic_store(&run->timeline.at_ns[TIMELINE_START], run->since_ns);
	if (!path) {
		run->timeline_file = stderr;
		return 0;
	}
	/* O_NONBLOCK: opening a FIFO must not wait for its reader. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	run->timeline_file = fd < 0 ? NULL : fdopen(fd, "w");
	if (run->timeline_file)
		return 0;
	err = errno;
	log_error("--timeline: %s: cannot open: %s", path, strerror(err));
	if (fd >= 0)
		close(fd);
	return -err;
}

/* 0, or -1 if it could not be written whole. */
static int run_close_timeline(struct run *run)
{
	bool bad;

	if (!run->timeline_file)
		return 0;
	if (run->timeline_file == stderr) {
		timeline_print(stderr, &run->timeline);
		return 0;
	}
	/* Emptied as late as here: to free a file's pages takes time, and the start is being
	 * measured. */
	if (ftruncate(fileno(run->timeline_file), 0) && errno != EINVAL)
		log_warn("--timeline: %s: cannot be emptied: %s", run->config.timeline_path,
			strerror(errno));
	timeline_write(run->timeline_file, run->config.timeline_path, &run->timeline);
	bad = ferror(run->timeline_file);
	if (!fclose(run->timeline_file) && !bad)
		return 0;
	log_error("--timeline: %s: cannot write: %s", run->config.timeline_path, strerror(errno));
	return -1;
}

/* What records the moments: nothing, unless they are wanted. */
static struct timeline *run_timeline(struct run *run)
{
	return run->timeline_file ? &run->timeline : NULL;
}

static enum exit_code run_dry(struct run *run)
{
	int ret = start_load_only(&run->vm, &run->diag);

	if (ret)
		log_error("%s", run->diag.text);
	else
		boot_describe(stdout, &run->vm.mem, &run->spec, &run->vm.handover);
	start_load_undo(&run->vm);
	if (ret)
		return run->vm.blame;
	if (fflush(stdout)) {
		log_error("standard output: cannot write");
		return EXIT_HOST_ERROR;
	}
	return EXIT_SUCCESS;
}

static enum exit_code run_guest(struct run *run)
{
	enum exit_code outcome;

	if (vm_open(&run->vm, &run->diag)) {
		log_error("%s", run->diag.text);
		return EXIT_HOST_ERROR;
	}
	outcome = vm_live(&run->vm);
	vm_close(&run->vm);
	return outcome;
}

int cmd_run(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));
	int ret;

	if (!run) {
		log_error("out of memory");
		return EXIT_HOST_ERROR;
	}
	/* Whether it is wanted is not known before the options are read. */
	run->since_ns = timeline_now();
	config_init(&run->config);
	ret = config_parse_args(&run->config, argc, argv, &run->diag);
	if (ret < 0)
		log_error("%s", run->diag.text);
	if (ret) {
		ret = ret < 0 ? (int)exit_code_of(-ret) : EXIT_SUCCESS;
		goto out;
	}
	log_set_level(run->config.log_level);
	if (!run->config.dry_run)
		control_catch_signals();
	ret = run_open_timeline(run);
	if (!ret)
		ret = run_open_files(run);
	if (ret) {
		ret = (int)exit_code_of(-ret);
		goto out;
	}
	timeline_record(run_timeline(run), TIMELINE_OPENED);
	vm_init(&run->vm, &run->config, &run->spec, run_timeline(run));
	ret = run->config.dry_run ? (int)run_dry(run) : (int)run_guest(run);
	run_close_files(run);
	if (run_close_timeline(run) && !ret)
		ret = EXIT_HOST_ERROR;
out:
	config_fini(&run->config);
	free(run);
	return ret;
}
