// SPDX-License-Identifier: MIT
/* start.c - how a machine comes to its entry, for the first time and again */

#include "vm/start.h"

#include "bus/platform.h"
#include "util/error.h"
#include "util/log.h"
#include "vm/confined.h"
#include "vm/lost_memory.h"
#include "vm/merge.h"
#include "vm/pager.h"
#include "vm/saved.h"
#include "vm/warm.h"
#include "vm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

/* ---- the steps ---- */

static int fail_by_operator(struct vm *vm, int ret)
{
	vm->blame = EXIT_OPERATOR;
	return ret;
}

static int open_devices(struct vm *vm, struct diag *diag)
{
	int ret = devices_open(vm, diag);

	return ret ? fail_by_operator(vm, ret) : 0;
}

static int init_memory(struct vm *vm)
{
	uint64_t size = vm->config->memory;
	bool is_shared = config_shares_memory(vm->config);

	if (vm->warm) {
		vm->mem = vm->warm->mem;
		return 0;
	}
	if (!vm->snapshot)
		return is_shared ? guest_mem_init_shared(&vm->mem, size)
		                 : guest_mem_init(&vm->mem, size);
	return is_shared ? guest_mem_init_shared_saved(&vm->mem, size, vm->snapshot->memory_fd)
	                 : guest_mem_init_saved(&vm->mem, size, vm->snapshot->memory_fd);
}

static int reserve_memory(struct vm *vm, struct diag *diag)
{
	uint64_t size = vm->config->memory;
	int ret;

	if (vm->snapshot && vm->config->memory_from == MEMORY_FROM_HANDLER) {
		ret = pager_open(vm, diag);
		return ret ? fail_by_operator(vm, ret) : 0;
	}
	ret = init_memory(vm);
	if (!ret)
		return 0;
	return fail_by_operator(
		vm, diag_fail(diag, -ret, "--memory: the host has no room for %llu MiB: %s",
			    (unsigned long long)(size >> 20), error_text(-ret)));
}

/* What can be said before anything is loaded: whether there is KVM, and whether it has room. */
static int open_kvm(struct vm *vm, struct diag *diag)
{
	const struct cpu_config *cpu = &vm->config->cpu;
	const struct kvm_extras extras = { .nested = cpu->nested, .pmu = cpu->pmu };
	unsigned int n = vm->config->cpus;
	int ret, max;

	if (vm->warm) {
		vm->kvm = vm->warm->kvm;
		timeline_record(vm->timeline, TIMELINE_KVM);
		return 0;
	}
	ret = kvm_init(&vm->kvm, &extras, diag);
	if (ret)
		return ret;
	max = kvm_max_vcpus(vm->kvm.fd);
	if ((int)n > max)
		return fail_by_operator(
			vm, diag_fail(diag, E2BIG, "--cpus %u: this host's KVM offers at most %d",
				    n, max));
	ret = kvm_query_cpuid(&vm->kvm, !vm->config->no_cache, diag);
	if (ret)
		return ret;
	timeline_record(vm->timeline, TIMELINE_KVM);
	ret = kvm_check_memory(&vm->kvm, &vm->mem, diag);
	return ret ? fail_by_operator(vm, ret) : 0;
}

/* Everything that lies in guest RAM at entry. */
static int load(struct vm *vm, struct diag *diag)
{
	struct diag reason;
	int ret = boot_load(&vm->mem, vm->spec, &vm->handover, &reason);

	if (ret)
		diag_fail(diag, -ret, "%s: %s", vm->config->kernel, reason.text);
	else
		ret = vmgenid_write(vm, diag);
	if (!ret)
		ret = vm_merge(vm, diag);
	if (ret) {
		vm->blame = exit_code_of(-ret);
		return ret;
	}
	timeline_record(vm->timeline, TIMELINE_LOADED);
	return 0;
}

static int load_first(struct vm *vm, struct diag *diag)
{
	int ret = load(vm, diag);

	if (!ret)
		vm_merge_warn(vm);
	return ret;
}

/* Last of what the operator named: a file is not to be emptied for a VM that will not start. */
static int open_consoles(struct vm *vm, struct diag *diag)
{
	int ret = consoles_open(&vm->consoles, &vm->loop, diag);

	if (!ret)
		timeline_record(vm->timeline, TIMELINE_READY);
	return ret == -EINVAL ? fail_by_operator(vm, ret) : ret;
}

static struct stream open_debug_stream(const struct config *config, struct diag *diag)
{
	if (config->debug_console == DEBUG_CONSOLE_STDERR)
		return stream_share(STDERR_FILENO, O_WRONLY);
	return output_open_file("--debug-console", config->debug_console_path, diag);
}

static int open_debug_console(struct vm *vm, struct diag *diag)
{
	struct stream stream;
	int ret;

	if (vm->config->debug_console == DEBUG_CONSOLE_OFF)
		return 0;
	stream = open_debug_stream(vm->config, diag);
	if (stream.fd < 0)
		return fail_by_operator(vm, -EINVAL);
	vm->debug_output = output_create("debug console", stream, diag);
	if (!vm->debug_output)
		return -ENOMEM;
	ret = wire_debug_console(vm, diag);
	if (ret) {
		output_destroy(vm->debug_output, -1);
		vm->debug_output = NULL;
	}
	return ret;
}

static int create_vm(struct vm *vm, struct diag *diag)
{
	int ret = kvm_vm_init(
		&vm->kvm_vm, &vm->kvm, &vm->mem, PLATFORM_N_GSIS, PLATFORM_KVM_RESERVED, diag);

	if (ret)
		return ret;
	if (kvm_routes_init(&vm->routes, &vm->kvm_vm, PLATFORM_N_GSIS, vm->devices.n_routes))
		return diag_fail(diag, ENOMEM, "out of memory");
	timeline_record(vm->timeline, TIMELINE_VM);
	return 0;
}

/* Now, or by a reset. */
static bool comes_to_entry(const struct vm *vm)
{
	return !vm->snapshot || vm->config->on_reboot == ON_REBOOT_RESTART;
}

/* All of them before anything is told to one: KVM then knows every local APIC. */
static int create_vcpus(struct vm *vm, struct diag *diag)
{
	unsigned int n = vm->config->cpus;
	int ret = 0;

	for (unsigned int i = 0; i < n && !ret; i++)
		ret = vcpu_create(&vm->vcpu[i], &vm->kvm, &vm->kvm_vm, diag);
	for (unsigned int i = 0; i < n && !ret && comes_to_entry(vm); i++)
		ret = vcpu_set_up(&vm->vcpu[i], &vm->kvm, n, diag);
	if (ret)
		return ret;
	vm->tsc_khz = tsc_khz_of_vcpu(&vm->kvm_vm, &vm->vcpu[0]);
	timeline_record(vm->timeline, TIMELINE_VCPUS);
	return 0;
}

/* What to come back to, if that may be. */
static int keep_state(struct vm *vm, struct diag *diag)
{
	for (unsigned int i = 0; i < vm->config->cpus; i++) {
		vm->fresh[i] = vcpu_state_save(&vm->vcpu[i], &vm->kvm, diag);
		if (!vm->fresh[i])
			return -EIO;
	}
	return 0;
}

/* The machine as it was, from here on, in words that name the snapshot. */
static int load_saved(struct vm *vm, struct diag *diag)
{
	struct diag why;
	int ret = saved_load(vm, vm->snapshot, &why);

	if (!ret && vm->warm && vm->warm->from)
		ret = devices_take_copies(vm, vm->warm->from, vm->warm->copies, &why);
	vm->is_refused = ret && vm->is_template;
	if (ret)
		return diag_fail(diag, -ret, "the snapshot cannot be restored: %s", why.text);
	wire_quiesce(vm);
	timeline_record(vm->timeline, TIMELINE_LOADED);
	return 0;
}

static int enter_boot_cpu(struct vm *vm, struct diag *diag)
{
	const struct handover *handover = &vm->handover;
	const struct vcpu_entry entry = {
		.eip = handover->entry,
		.ebx = (uint32_t)handover->start_info,
		.esp = (uint32_t)handover->stack,
		.gdt_gpa = (uint32_t)handover->gdt_at,
		.gdt_limit = sizeof(handover->gdt) - 1,
		.gdt = handover->gdt,
	};

	return vcpu_set_pvh_entry(&vm->vcpu[0], &entry, diag);
}

/* Last, so that each thread finds its first order when it comes to look. */
static int start_threads(struct vm *vm, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_start(&vm->vcpu[i], &vm->crew, diag);
	return ret ? ret : confined_start_worker(vm, diag);
}

/* ---- all of them ---- */

int start_create(struct vm *vm, struct diag *diag)
{
	int ret;

	vm->blame = EXIT_HOST_ERROR;
	vm->kvm.fd = vm->kvm_vm.fd = -1;
	crew_init(&vm->crew);
	worker_init(&vm->worker);
	wire_init(vm);
	wire_console(vm);
	vcpu_install_kick_handler();

	ret = confined_prepare(vm, diag);
	if (!ret)
		ret = open_devices(vm, diag);
	if (!ret)
		ret = confined_settle(vm, diag);
	if (!ret)
		ret = reserve_memory(vm, diag);
	if (!ret)
		ret = open_kvm(vm, diag);
	if (!ret && !vm->snapshot)
		ret = load_first(vm, diag);
	if (!ret)
		ret = create_vm(vm, diag);
	if (!ret)
		ret = create_vcpus(vm, diag);
	if (!ret && vm->config->on_reboot == ON_REBOOT_RESTART)
		ret = keep_state(vm, diag);
	pager_begin(vm->pager);
	if (!ret)
		ret = vm->snapshot ? load_saved(vm, diag) : enter_boot_cpu(vm, diag);
	if (!ret)
		ret = open_consoles(vm, diag);
	if (!ret)
		lost_memory_watch(vm);
	if (!ret)
		ret = open_debug_console(vm, diag);
	if (!ret)
		ret = confined_close_in(vm, diag);
	if (!ret)
		ret = devices_start(vm, diag);
	if (!ret)
		ret = start_threads(vm, diag);
	pager_end(vm->pager);
	return ret;
}

void start_undo(struct vm *vm)
{
	unsigned int n = vm->config->cpus;

	pager_begin(vm->pager);
	crew_order(&vm->crew, CREW_LEAVE);
	for (unsigned int i = 0; i < n; i++)
		vcpu_join(&vm->vcpu[i]);
	pager_end(vm->pager);
	for (unsigned int i = 0; i < n; i++) {
		log_info("vCPU %u: %llu exits to user space", i,
			(unsigned long long)vm->vcpu[i].n_exits);
		vcpu_state_free(vm->fresh[i]);
		vcpu_state_free(vm->saved[i]);
		vcpu_fini(&vm->vcpu[i]);
	}
	consoles_detach(&vm->consoles, vm->control.signals.fd);
	devices_close(vm);
	if (vm->debug_output)
		output_detach(vm->debug_output);
	wire_fini(vm);
	crew_fini(&vm->crew);
	kvm_routes_fini(&vm->routes);
	kvm_vm_fini(&vm->kvm_vm);
	if (vm->kvm.fd >= 0)
		kvm_fini(&vm->kvm);
	lost_memory_unwatch(vm);
	pager_close(vm->pager);
	worker_stop(&vm->worker);
	guest_mem_fini(&vm->mem);
}

/* ---- again ---- */

/* To load may take long, and meanwhile nobody but us can be asked to end. */
static int load_again(struct vm *vm, struct diag *diag)
{
	int ret = guest_mem_reset(&vm->mem);

	pager_forget(vm->pager);
	if (ret)
		return diag_fail(
			diag, -ret, "the guest's memory cannot be emptied: %s", error_text(-ret));
	control_leave_signals(&vm->control);
	ret = load(vm, diag);
	control_take_signals(&vm->control);
	return ret;
}

int start_reset(struct vm *vm, struct diag *diag)
{
	int ret;

	/* First, for what a device has in flight is still written to guest RAM. */
	bus_reset(&vm->pio);
	bus_reset(&vm->mmio);
	ret = load_again(vm, diag);
	vcpu_states_set_tsc(vm->fresh, vm->config->cpus, &vm->vcpu[0], 0);
	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_state_load(&vm->vcpu[i], vm->fresh[i], diag);
	if (!ret)
		ret = kvm_vm_set_clock(&vm->kvm_vm, 0, diag);
	if (!ret)
		ret = enter_boot_cpu(vm, diag);
	return ret;
}

/* ---- without KVM ---- */

int start_load_only(struct vm *vm, struct diag *diag)
{
	int ret;

	vm->blame = EXIT_HOST_ERROR;
	ret = reserve_memory(vm, diag);
	return ret ? ret : load_first(vm, diag);
}

void start_load_undo(struct vm *vm)
{
	guest_mem_fini(&vm->mem);
}
