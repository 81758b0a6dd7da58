// SPDX-License-Identifier: MIT
/* confined.c - when a machine's process gives up what */

#include "vm/confined.h"

#include "confine/confine.h"
#include "confine/jail.h"
#include "filter/filter.h"
#include "mem/guest_mem_watch.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/instant.h"

#include <errno.h>

static bool is_wanted(const struct vm *vm)
{
	enum confine how = vm->config->confine;

	return how != CONFINE_OFF && how != CONFINE_BASIC;
}

/* 0: it goes on without. */
static int lack(struct vm *vm, int ret, const struct diag *why, struct diag *diag)
{
	if (vm->config->confine != CONFINE_STRICT) {
		log_warn("--confine: %s; the guest runs without", why->text);
		return 0;
	}
	vm->blame = EXIT_OPERATOR;
	return diag_fail(diag, -ret, "--confine strict: %s", why->text);
}

static int keep_template(void *ctx, struct diag *diag)
{
	return instant_keep(ctx, diag);
}

static void close_template(void *ctx)
{
	instant_close(ctx);
}

/* What is done with paths once the guest runs is done there. */
static int start_outside(struct vm *vm, struct diag *diag)
{
	struct outside_job job = { keep_template, close_template, vm->template, { 0 } };
	int ret;

	if (!vm->template)
		return outside_start(&vm->outside, vm->config, NULL, diag);
	snapshot_place_descriptors(&vm->template->place, job.fds);
	ret = outside_start(&vm->outside, vm->config, &job, diag);
	if (!ret)
		instant_leave(vm->template);
	return ret;
}

/* The process outside is for machines in a jail, too. */
int confined_prepare(struct vm *vm, struct diag *diag)
{
	struct diag why;
	int ret = vm->config->core_scheduling ? confine_own_cores(&why) : 0;

	if (ret) {
		vm->blame = EXIT_OPERATOR;
		return diag_fail(diag, -ret, "--core-scheduling: %s", why.text);
	}
	if (!is_wanted(vm))
		return config_has_jail(vm->config) ? start_outside(vm, diag) : 0;
	vm->has_filters = filter_is_there();
	vm->tells_refused = vm->config->confine == CONFINE_TELL;
	if (!vm->has_filters)
		return lack(vm,
			diag_fail(&why, ENOSYS,
				"this kernel has no seccomp filters (CONFIG_SECCOMP_FILTER)"),
			&why, diag);
	return start_outside(vm, diag);
}

int confined_settle(struct vm *vm, struct diag *)
{
	if (vm->config->confine != CONFINE_OFF)
		confine_settle();
	return 0;
}

/* By a client of the API, or by the guest, for a template. */
static bool may_be_saved(const struct vm *vm)
{
	return vm->watch || vm->template;
}

static bool is_recorded(const struct vm *vm)
{
	return vm->snapshot && vm->snapshot->working_set.is_recorded;
}

static int close_jail(struct vm *vm, struct diag *diag)
{
	struct diag why;
	int ret = jail_close(&vm->config->jail, &why);

	if (!ret)
		return 0;
	vm->blame = EXIT_OPERATOR;
	return diag_fail(diag, -ret, "--jail: %s", why.text);
}

int confined_close_in(struct vm *vm, struct diag *diag)
{
	bool has_jail = config_has_jail(vm->config);
	struct diag why;
	int ret;

	if (!is_wanted(vm) && !has_jail)
		return 0;
	ret = outside_settle(&vm->outside, diag);
	if (ret)
		return ret;
	ret = vm->has_filters || has_jail ? power_open_random(&vm->power) : 0;
	if (ret)
		return diag_fail(diag, -ret, "/dev/urandom: %s", error_text(-ret));
	if (vm->has_filters && (may_be_saved(vm) || is_recorded(vm))) {
		ret = guest_mem_prepare_watch(&vm->mem);
		if (ret)
			return diag_fail(diag, -ret, "%s", error_text(-ret));
	}
	log_prepare();
	if (vm->tells_refused)
		confine_tell();
	if (has_jail)
		ret = close_jail(vm, diag);
	if (ret || !is_wanted(vm))
		return ret;
	ret = confine_close_in(CONFINE_NO_RIGHTS, &why);
	return ret ? lack(vm, ret, &why, diag) : 0;
}

static void worker_begun(void *ctx)
{
	const struct vm *vm = ctx;

	confine_thread(FILTER_WRITER, vm->tells_refused);
}

int confined_start_worker(struct vm *vm, struct diag *diag)
{
	bool is_early = vm->snapshot && working_set_is_used(&vm->snapshot->working_set);

	if (!(vm->has_filters && may_be_saved(vm)) && !is_early)
		return 0;
	return worker_start(&vm->worker, vm->has_filters ? worker_begun : NULL, vm, diag);
}

void confined_pager(const struct vm *vm)
{
	if (!vm->has_filters)
		return;
	log_prepare();
	confine_thread(FILTER_PAGER, vm->tells_refused);
}

void confined_control(const struct vm *vm)
{
	static const enum filter role[2][2] = {
		{ FILTER_CONTROL, FILTER_CONTROL_AGAIN },
		{ FILTER_CONTROL_SAVED, FILTER_CONTROL_SAVED_AGAIN },
	};
	bool again = vm->config->on_reboot == ON_REBOOT_RESTART;

	if (vm->has_filters)
		confine_thread(role[may_be_saved(vm)][again], vm->tells_refused);
}

int confined_keep_template(struct vm *vm, struct diag *diag)
{
	if (vm->has_filters)
		return outside_run_job(&vm->outside, diag);
	return instant_keep(vm->template, diag);
}

void confined_end(struct vm *vm)
{
	outside_end(&vm->outside);
}

int confined_may_fork(const struct vm *vm, struct diag *diag)
{
	if (config_has_jail(vm->config))
		return diag_fail(diag, EOPNOTSUPP,
			"a machine that runs with --jail makes no processes; have all of the API in "
			"a jail for this (the program jailer)");
	if (!is_wanted(vm))
		return 0;
	return diag_fail(diag, EOPNOTSUPP,
		"a machine that is confined makes no processes; have it run with --confine basic "
		"for this");
}
