// SPDX-License-Identifier: MIT
/* vm.c - one virtual machine, from its settings to its end */

#include "vm/vm.h"

#include "util/error.h"
#include "util/log.h"
#include "vm/confined.h"
#include "vm/instant.h"
#include "vm/pager.h"
#include "vm/snapshot.h"
#include "vm/start.h"
#include "vm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define QUIET_MS 1000

void vm_init(struct vm *vm, const struct config *config, const struct boot_spec *spec,
	struct timeline *timeline)
{
	vm->config = config;
	vm->spec = spec;
	vm->timeline = timeline;
	vm->is_linux = spec->image && boot_is_linux(spec);
	vm->save.fd = vm->leash.fd = vm->outside.helper.fd = -1;
}

/* ---- what the transitions of its life do ---- */

static int vm_create(void *ctx, struct diag *diag)
{
	struct vm *vm = ctx;
	int ret = start_create(vm, diag);

	if (!ret)
		working_set_begin(vm);
	return ret;
}

static void vm_let_go(void *ctx)
{
	struct vm *vm = ctx;

	control_take_signals(&vm->control);
	crew_order(&vm->crew, CREW_WORK);
}

static void vm_park(void *ctx)
{
	struct vm *vm = ctx;

	pager_begin(vm->pager);
	crew_order(&vm->crew, CREW_PARK);
	for (unsigned int i = 0; i < vm->config->cpus; i++)
		vcpu_kick(&vm->vcpu[i]);
	crew_gather(&vm->crew);
	pager_end(vm->pager);
}

static void vm_quiesce(void *ctx)
{
	struct vm *vm = ctx;

	pager_begin(vm->pager);
	devices_quiesce(vm);
	wire_quiesce(vm);
	pager_end(vm->pager);
}

static void vm_resume_devices(void *ctx)
{
	struct vm *vm = ctx;

	pager_begin(vm->pager);
	wire_resume(vm);
	devices_resume(vm);
	pager_end(vm->pager);
}

static int vm_reset(void *ctx, struct diag *diag)
{
	struct vm *vm = ctx;
	int ret;

	snapshot_abandon(vm, "the guest was reset before it could be saved");
	working_set_stop(vm);
	if (vm->snapshot)
		working_set_forget(&vm->snapshot->working_set);
	ret = start_reset(vm, diag);
	if (!ret && vm->watch && vm->watch->reset)
		vm->watch->reset(vm->watch_ctx);
	return ret;
}

static void vm_end(void *ctx)
{
	struct vm *vm = ctx;

	working_set_stop(vm);
	if (vm->snapshot)
		working_set_record(&vm->snapshot->working_set, &vm->mem);
	start_undo(vm);
}

/* A guest that was asked to power off, and reset instead, is not to have another life. */
static bool vm_returns(void *ctx, enum exit_code *outcome)
{
	const struct vm *vm = ctx;

	if (*outcome != EXIT_REBOOT || vm->config->on_reboot != ON_REBOOT_RESTART)
		return false;
	if (control_wants_end(&vm->control)) {
		*outcome = EXIT_KILLED;
		return false;
	}
	return true;
}

static const struct life_ops life_ops = {
	.create = vm_create,
	.run = vm_let_go,
	.pause = vm_park,
	.quiesce = vm_quiesce,
	.resume = vm_resume_devices,
	.reset = vm_reset,
	.end = vm_end,
	.returns = vm_returns,
};

/* ---- the operator's pause ---- */

bool vm_pause(struct vm *vm)
{
	if (vm->life.state == LIFE_CONFIGURED || vm->life.state == LIFE_ENDED)
		return false;
	if (snapshot_takes_over(vm, false))
		return true;
	if (!vm->life.is_held)
		log_info("paused");
	life_hold(&vm->life);
	return true;
}

void vm_resume(struct vm *vm)
{
	if (snapshot_takes_over(vm, true))
		return;
	if (vm->life.is_held)
		log_info("resumed");
	life_release(&vm->life);
}

/* ---- from the settings to the end ---- */

/* Whether KVM has the TSC's rate right is looked at when the guest first lets us rest, as it does
 * sooner or later where its timers do not come: a start has no time for it.
 */
static void judge_tsc(void *ctx)
{
	struct vm *vm = ctx;
	struct diag finding;

	if (tsc_check(vm->tsc_khz, &vm->tsc_first, &finding) == TSC_WRONG)
		log_warn("the TSC's rate: %s", finding.text);
}

static void watch_tsc(void *ctx)
{
	struct vm *vm = ctx;

	tsc_sample(&vm->tsc_first);
	loop_when_quiet(&vm->loop, TSC_WATCH_MS, judge_tsc, vm);
}

/* ---- a template ---- */

static void template_done(void *ctx, int ret, const char *why)
{
	struct vm *vm = ctx;
	struct diag diag;

	if (!ret && confined_keep_template(vm, &diag))
		why = diag.text;
	if (*why)
		log_warn("instant: %s", why);
	else
		log_info("instant: saved in %s", vm->template->dir);
}

static int save_template(struct vm *vm, struct diag *diag)
{
	const struct snapshot_place *place = &vm->template->place;
	const struct snapshot_target target = {
		.state_fd = fcntl(place->state.fd, F_DUPFD_CLOEXEC, 0),
		.memory_fd = fcntl(place->memory.fd, F_DUPFD_CLOEXEC, 0),
		.is_beside = true,
		.note = vm->template->key,
		.is_at_rest = true,
	};

	return snapshot_begin(vm, &target, template_done, vm, diag);
}

/* Its vCPUs have been told to park.  One that has been asked to end meanwhile is left at that. */
static void save_ready(void *ctx, uint32_t)
{
	struct vm *vm = ctx;
	struct diag diag;

	loop_counter_read(vm->save.fd);
	if (vm->life.state != LIFE_RUNNING || atomic_load(&vm->life.outcome) != LIFE_UNDECIDED)
		return;
	if (!save_template(vm, &diag))
		return;
	log_warn("instant: it is not kept: %s", diag.text);
	crew_order(&vm->crew, CREW_WORK);
}

static void leash_ready(void *ctx, uint32_t)
{
	struct vm *vm = ctx;

	loop_remove(&vm->loop, &vm->leash);
	control_demand_end(&vm->control);
}

static int open_leash(struct vm *vm)
{
	vm->leash = (struct loop_source){ vm->leash.fd, leash_ready, vm, NULL };
	return vm->leash.fd < 0 ? 0 : loop_add(&vm->loop, &vm->leash, EPOLLIN | EPOLLRDHUP);
}

static int open_save(struct vm *vm)
{
	vm->save = (struct loop_source){ eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), save_ready, vm,
		NULL };
	return vm->save.fd < 0 ? -errno : loop_add(&vm->loop, &vm->save, EPOLLIN);
}

static void begin(struct vm *vm)
{
	if (vm->snapshot)
		life_begin_held(&vm->life);
	if (!vm->snapshot)
		life_run(&vm->life);
	else if (!vm->begins_paused)
		life_release(&vm->life);
}

enum exit_code vm_live(struct vm *vm)
{
	enum exit_code outcome;
	struct diag diag;
	int ret = life_create(&vm->life, &diag);

	if (!ret) {
		vm->blame = EXIT_HOST_ERROR;
		begin(vm);
		/* Not earlier, for the guest need not wait for it; before it is served by us. */
		confined_control(vm);
		if (vm->watch && vm->watch->started)
			vm->watch->started(vm->watch_ctx);
		loop_when_quiet(&vm->loop, QUIET_MS, watch_tsc, vm);
		ret = life_serve(&vm->life, &outcome, &diag);
		snapshot_finish(vm);
		fork_forget(vm);
		if (vm->watch && vm->watch->ending)
			vm->watch->ending(vm->watch_ctx);
	}
	life_end(&vm->life);
	if (ret && vm->is_refused) {
		log_info("instant: %s: it boots as ever", diag.text);
	} else if (ret) {
		log_error("%s", diag.text);
		if (vm->watch && vm->watch->failed)
			vm->watch->failed(vm->watch_ctx, diag.text);
	}
	timeline_record(vm->timeline, TIMELINE_RELEASED);
	/* Its reader may be slow, and whoever sends us another signal knows. */
	consoles_destroy(&vm->consoles, vm->control.signals.fd);
	if (vm->debug_output)
		output_destroy(vm->debug_output, vm->control.signals.fd);
	confined_end(vm);
	control_drop_signals(&vm->control);
	return ret ? vm->blame : outcome;
}

int vm_open(struct vm *vm, struct diag *diag)
{
	int ret = loop_init(&vm->loop);

	if (ret)
		return diag_fail(diag, -ret, "epoll: %s", error_text(-ret));
	ret = life_init(&vm->life, &vm->loop, &life_ops, vm, diag);
	if (ret)
		goto err_loop;
	ret = wire_control(vm, diag);
	if (ret)
		goto err_life;
	ret = vm->template ? open_save(vm) : 0;
	if (!ret)
		ret = open_leash(vm);
	if (!ret)
		return 0;
	diag_fail(diag, -ret, "eventfd: %s", error_text(-ret));
	control_fini(&vm->control);
err_life:
	life_fini(&vm->life);
err_loop:
	loop_fini(&vm->loop);
	return ret;
}

void vm_close(struct vm *vm)
{
	if (vm->save.fd >= 0)
		close(vm->save.fd);
	control_fini(&vm->control);
	life_fini(&vm->life);
	loop_fini(&vm->loop);
}
