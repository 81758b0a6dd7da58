// SPDX-License-Identifier: MIT
/* launch.c - from settings to a machine with all that they name */

#include "vm/launch.h"

#include "boot/words.h"
#include "confine/jail.h"
#include "image/foreign.h"
#include "util/error.h"
#include "util/file.h"
#include "util/log.h"
#include "vm/root.h"
#include "vm/start.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

static void close_files(struct launch *launch)
{
	if (!launch->has_kernel)
		return;
	if (launch->spec.initrd_fd >= 0)
		close(launch->spec.initrd_fd);
	if (launch->spec.kernel)
		image_close(&launch->kernel);
	image_close(&launch->image);
}

/* Enter the kernel by PVH if that can be; else have pvh-shim entered, with the kernel for it. */
static int open_kernel(struct launch *launch, struct diag *diag)
{
	const struct config *config = launch->config;
	int ret;

	if (config->shim != SHIM_ALWAYS) {
		ret = image_open(&launch->image, config->kernel, !config->no_cache, diag);
		if (!launch->image.needs_shim)
			return ret;
		if (!ret) {
			ret = image_require_pvh_entry(&launch->image, diag);
			image_close(&launch->image);
		}
		if (config->shim == SHIM_NEVER)
			return ret;
	}
	ret = image_open_whole(&launch->kernel, config->kernel, !config->no_cache, diag);
	if (ret)
		return ret;
	ret = image_open_shim(&launch->image, diag);
	if (ret)
		image_close(&launch->kernel);
	else
		launch->spec.kernel = &launch->kernel;
	return ret;
}

static void say_kernel(const struct launch *launch)
{
	const struct image *image = launch->spec.kernel ? launch->spec.kernel : &launch->image;

	if (image->cache_fault.text[0])
		log_warn("%s: unpacked in memory, at each start (--no-cache: without this warning)",
			image->cache_fault.text);
	log_info("%s: %s%s%s%s%s", launch->config->kernel,
		image_container_name(image->kind.container),
		image->from_cache ? ", found unpacked in the cache" : "",
		image->others_write ? ", not cached as others can write to it" : "",
		image->owned_file ? "" : ", read in place",
		!launch->spec.kernel ? ""
		: launch->config->shim == SHIM_ALWAYS
			? ", booted through pvh-shim as asked for"
			: ", booted through pvh-shim as it has no PVH entry");
}

static bool is_linux(const struct launch *launch)
{
	return launch->spec.kernel || image_is_linux(&launch->image);
}

/* Other kernels may be given kernels: Xen is. */
static void check_initrd(const struct launch *launch)
{
	const char *name = foreign_kernel_name(launch->spec.initrd_fd);

	if (name && is_linux(launch))
		log_warn("%s: it is %s and no initrd: are kernel and initrd swapped?",
			launch->config->initrd, name);
}

/* Linux's banner is searched for only if there is something to say. */
static void check_cmdline(const struct launch *launch)
{
	const char *word = words_find_fatal(launch->spec.cmdline);

	if (launch->spec.has_pci && words_turn_pci_off(launch->spec.cmdline) && is_linux(launch))
		log_warn("the command line says pci=off: Linux will find no device on PCI; leave "
			 "it out, or --transport pci");
	if (word && is_linux(launch))
		log_warn(
			"the command line says %s: Linux will hang, or hear nothing of its devices (so "
			"that programs print nothing), for want of interrupts, which come by ACPI and "
			"the APICs alone; leave it out",
			word);
}

/* Guests without ACPI are told of their devices by the command line; a guest that is told both ways
 * would have each twice.  Those on PCI it finds by itself.
 */
static int announce_devices(struct launch *launch, struct diag *diag)
{
	unsigned int n = config_n_devices(launch->config);

	if (launch->spec.has_pci)
		return 0;
	if (launch->config->announce == ANNOUNCE_ACPI) {
		launch->spec.n_virtio_slots = n;
		return 0;
	}
	launch->cmdline = words_name_slots(launch->spec.cmdline, n);
	if (!launch->cmdline)
		return diag_fail(diag, ENOMEM, "out of memory");
	launch->spec.cmdline = launch->cmdline;
	return 0;
}

/* The initrd of --root. */
static int make_initrd(struct launch *launch, struct diag *diag)
{
	const struct image *kernel = launch->spec.kernel ? launch->spec.kernel : &launch->image;
	struct diag why;

	launch->spec.initrd_fd = root_make_initrd(
		launch->config, kernel, &launch->spec.initrd_size, &why);
	if (launch->spec.initrd_fd >= 0)
		return 0;
	return diag_fail(diag, -launch->spec.initrd_fd, "--root: %s", why.text);
}

static int open_initrd(struct launch *launch, struct diag *diag)
{
	const char *path = launch->config->initrd;
	struct diag why;
	struct stat st;

	if (launch->config->root.dir)
		return make_initrd(launch, diag);
	if (!path)
		return 0;
	launch->spec.initrd_fd = file_open_regular(path, &st, &why);
	if (launch->spec.initrd_fd < 0)
		return diag_fail(diag, -launch->spec.initrd_fd, "%s: %s", path, why.text);
	launch->spec.initrd_size = (uint64_t)st.st_size;
	check_initrd(launch);
	return 0;
}

static int open_files(struct launch *launch, struct diag *diag)
{
	const struct config *config = launch->config;
	struct diag why;
	int ret;

	launch->spec = (struct boot_spec){
		.image = &launch->image,
		.initrd_fd = -1,
		.cmdline = config->cmdline ? config->cmdline : config_default_cmdline(config),
		.map = config_shares_memory(config) ? LOAD_MAP_NONE : config->map_kernel,
		.n_cpus = config->cpus,
		.has_pci = config_has_pci(config),
	};
	if (launch->snapshot && config->on_reboot != ON_REBOOT_RESTART) {
		launch->spec.image = NULL;
		return 0;
	}
	ret = announce_devices(launch, diag);
	if (ret)
		return ret;
	ret = open_kernel(launch, &why);
	if (ret)
		return diag_fail(diag, -ret, "%s: %s%s", config->kernel, why.text,
			config->shim == SHIM_NEVER && launch->image.needs_shim
				? "; or leave out --no-shim"
				: "");
	launch->has_kernel = true;
	say_kernel(launch);
	check_cmdline(launch);
	ret = open_initrd(launch, diag);
	if (ret)
		close_files(launch);
	return ret;
}

/* Opened before the guest runs: what cannot be written is to be known before the boot, not after.
 */
static int open_timeline(struct launch *launch, uint64_t since_ns, struct diag *diag)
{
	const char *path = launch->config->timeline_path;
	int fd, err;

	atomic_store(&launch->timeline.at_ns[TIMELINE_START], since_ns);
	if (launch->config->timeline == TIMELINE_TO_NOWHERE)
		return 0;
	if (!path) {
		launch->timeline_file = stderr;
		return 0;
	}
	/* O_NONBLOCK: opening a FIFO must not wait for its reader. */
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK, 0666);
	launch->timeline_file = fd < 0 ? NULL : fdopen(fd, "w");
	if (launch->timeline_file)
		return 0;
	err = errno;
	if (fd >= 0)
		close(fd);
	return diag_fail(diag, err, "--timeline: %s: cannot open: %s", path, error_text(err));
}

/* 0, or -1 if it could not be written whole. */
static int close_timeline(struct launch *launch)
{
	bool bad;

	if (!launch->timeline_file)
		return 0;
	if (launch->timeline_file == stderr) {
		timeline_print(stderr, &launch->timeline);
		return 0;
	}
	/* Emptied as late as here: to free a file's pages takes time, and the start is being
	 * measured. */
	if (ftruncate(fileno(launch->timeline_file), 0) && errno != EINVAL)
		log_warn("--timeline: %s: cannot be emptied: %s", launch->config->timeline_path,
			error_text(errno));
	timeline_write(launch->timeline_file, launch->config->timeline_path, &launch->timeline);
	bad = ferror(launch->timeline_file);
	if (!fclose(launch->timeline_file) && !bad)
		return 0;
	log_error("--timeline: %s: cannot write: %s", launch->config->timeline_path,
		error_text(errno));
	return -1;
}

/* What records the moments: nothing, unless they are wanted. */
static struct timeline *wanted_timeline(struct launch *launch)
{
	return launch->timeline_file || launch->has_reader ? &launch->timeline : NULL;
}

/* ---- */

static bool wants_template(const struct launch *launch)
{
	return launch->config->instant.use != INSTANT_OFF && !launch->config->dry_run &&
	       !launch->snapshot;
}

/* What cannot be found or kept is no reason not to boot. */
static void find_template(struct launch *launch)
{
	struct diag diag;

	if (!wants_template(launch))
		return;
	if (instant_find(&launch->instant, launch->config, &diag))
		log_warn("--instant: %s: it boots as ever", diag.text);
	else if (launch->instant.is_found)
		launch->snapshot = &launch->instant.snapshot;
}

/* The kernel, and the machine that is to be made of it. */
static int open_all(struct launch *launch, struct diag *diag)
{
	struct vm *vm = &launch->vm;
	int ret = open_files(launch, diag);
	struct diag why;

	if (ret)
		return ret;
	if (launch->instant.dir[0] && !launch->snapshot &&
		instant_prepare(&launch->instant, &launch->spec, &why))
		log_warn("--instant: %s: it boots as ever", why.text);
	timeline_record(wanted_timeline(launch), TIMELINE_OPENED);
	vm_init(vm, launch->config, &launch->spec, wanted_timeline(launch));
	vm->snapshot = launch->snapshot;
	vm->warm = launch->warm;
	vm->leash.fd = launch->warm ? launch->leash_fd : -1;
	vm->is_template = launch->instant.is_found;
	vm->clock_stands = launch->config->clock == CLOCK_STOOD;
	if (vm->snapshot)
		vm->is_linux = vm->snapshot->machine.is_linux;
	else if (instant_is_made(&launch->instant))
		vm->template = &launch->instant;
	return 0;
}

/* What is opened from here on may be what is there in the jail's network namespace. */
static int enter_jail(const struct config *config, struct diag *diag)
{
	struct diag why;
	int ret;

	if (!config_has_jail(config) || config->dry_run)
		return 0;
	ret = jail_enter(&config->jail, &why);
	return ret ? diag_fail(diag, -ret, "--jail: %s", why.text) : 0;
}

int launch_open(
	struct launch *launch, const struct config *config, uint64_t since_ns, struct diag *diag)
{
	int ret;

	launch->config = config;
	ret = enter_jail(config, diag);
	if (!ret)
		ret = open_timeline(launch, since_ns, diag);
	if (ret)
		return ret;
	find_template(launch);
	ret = open_all(launch, diag);
	if (ret) {
		instant_close(&launch->instant);
		if (launch->timeline_file && launch->timeline_file != stderr)
			fclose(launch->timeline_file);
		return ret;
	}
	return 0;
}

int launch_open_memory(
	struct snapshot *snapshot, const char *path, const struct config *config, struct diag *diag)
{
	size_t size;
	int ret;

	if (config->memory_from != MEMORY_FROM_HANDLER) {
		ret = snapshot_open_memory(snapshot, path, config->memory_path, diag);
		return ret ? ret
		           : working_set_open(
				     &snapshot->working_set, config, snapshot->reader.id, diag);
	}
	if (config->working_set != WORKING_SET_NONE)
		return diag_fail(diag, EOPNOTSUPP,
			"--working-set: memory that a handler brings is the handler's to bring ahead");
	if (config_shares_memory(config))
		return diag_fail(diag, EOPNOTSUPP,
			"%s: memory from which another process serves a device cannot be brought by a "
			"handler: restore it from its file",
			config->memory_path);
	/* Where it is need not be known; but what nobody asks for would be taken for something new.
	 */
	if (!state_has(&snapshot->reader, "memory", 0) ||
		state_load_bytes(&snapshot->reader, "memory", 0, &size, diag))
		return 0;
	return -EBADMSG;
}

int launch_close(struct launch *launch)
{
	close_files(launch);
	free(launch->cmdline);
	instant_close(&launch->instant);
	return close_timeline(launch);
}

static enum exit_code run_once(struct launch *launch)
{
	enum exit_code outcome;
	struct diag diag;

	if (vm_open(&launch->vm, &diag)) {
		log_error("%s", diag.text);
		return EXIT_HOST_ERROR;
	}
	outcome = vm_live(&launch->vm);
	vm_close(&launch->vm);
	return outcome;
}

enum exit_code launch_run(struct launch *launch)
{
	enum exit_code outcome = run_once(launch);
	struct diag diag;
	int ret;

	if (launch->vm.is_refused) {
		instant_drop(&launch->instant);
		launch->snapshot = NULL;
		launch->vm = (struct vm){ 0 };
		ret = open_all(launch, &diag);
		if (ret) {
			log_error("%s", diag.text);
			return exit_code_of(-ret);
		}
		outcome = run_once(launch);
	}
	return outcome;
}

enum exit_code launch_dry(struct launch *launch)
{
	struct diag diag;
	int ret = start_load_only(&launch->vm, &diag);

	if (ret)
		log_error("%s", diag.text);
	else
		boot_describe(stdout, &launch->vm.mem, &launch->spec, &launch->vm.handover);
	start_load_undo(&launch->vm);
	if (ret)
		return launch->vm.blame;
	if (fflush(stdout)) {
		log_error("standard output: cannot write");
		return EXIT_HOST_ERROR;
	}
	return EXIT_SUCCESS;
}
