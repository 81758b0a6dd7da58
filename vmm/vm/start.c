// SPDX-License-Identifier: MIT
/* start.c - how a machine comes to its entry, for the first time and again */

#include "vm/start.h"

#include "bus/platform.h"
#include "util/log.h"
#include "vm/merge.h"
#include "vm/wire.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

/* ---- what the main thread does ---- */

static int fail_by_operator(struct vm *vm, int ret)
{
	vm->blame = EXIT_OPERATOR;
	return ret;
}

static int reserve_memory(struct vm *vm, struct diag *diag)
{
	uint64_t size = vm->config->memory;
	int ret = guest_mem_init(&vm->mem, size);

	if (!ret)
		return 0;
	return fail_by_operator(
		vm, diag_fail(diag, -ret, "--memory: the host has no room for %llu MiB: %s",
			    (unsigned long long)(size >> 20), strerror(-ret)));
}

static int open_kvm(struct vm *vm, struct diag *diag)
{
	const struct cpu_config *cpu = &vm->config->cpu;
	const struct kvm_extras extras = { .nested = cpu->nested, .pmu = cpu->pmu };
	unsigned int n = vm->config->cpus;
	int ret = kvm_init(&vm->kvm, &extras, diag), max;

	if (ret)
		return ret;
	max = kvm_max_vcpus(vm->kvm.fd);
	if ((int)n <= max)
		return 0;
	return fail_by_operator(
		vm, diag_fail(diag, E2BIG, "--cpus %u: this host's KVM offers at most %d", n, max));
}

static int query_kvm(struct vm *vm, struct diag *diag)
{
	int ret = kvm_query_cpuid(&vm->kvm, diag);

	if (ret)
		return ret;
	timeline_record(vm->timeline, TIMELINE_KVM);
	ret = kvm_check_memory(&vm->kvm, &vm->mem, diag);
	return ret ? fail_by_operator(vm, ret) : 0;
}

/* Not the fault of what was named. */
static bool is_hosts_failure(int err)
{
	return err == EIO || err == ENOMEM || err == EMFILE || err == ENFILE;
}

/* Everything that lies in guest RAM at entry. */
static int load(struct vm *vm, struct diag *diag)
{
	struct diag reason;
	int ret = boot_load(&vm->mem, vm->spec, &vm->handover, &reason);

	if (ret)
		diag_fail(diag, -ret, "%s: %s", vm->config->kernel, reason.text);
	else
		ret = vm_merge(vm, vm->spec, diag);
	if (ret)
		return is_hosts_failure(-ret) ? ret : fail_by_operator(vm, ret);
	timeline_record(vm->timeline, TIMELINE_LOADED);
	return 0;
}

static struct console *open_console_kind(const struct config *config, struct diag *diag)
{
	switch (config->console) {
	case CONSOLE_FILE: return console_open_file(config->console_path, diag);
	case CONSOLE_PTY: return console_open_pty(diag);
	case CONSOLE_NULL: return console_open_null(diag);
	default: return console_open_stdio(config->escape_key, diag);
	}
}

/* Last of what the operator named: a file is not to be emptied for a VM that will not start. */
static int open_console(struct vm *vm, struct diag *diag)
{
	int ret;

	vm->console = open_console_kind(vm->config, diag);
	if (!vm->console)
		return vm->config->console == CONSOLE_FILE ? fail_by_operator(vm, -EINVAL) : -EIO;
	timeline_record(vm->timeline, TIMELINE_READY);
	ret = wire_console(vm, diag);
	if (ret) {
		console_destroy(vm->console, -1);
		vm->console = NULL;
	}
	return ret;
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

/* The threads of all but the boot CPU have nothing to do yet. */
static int start_other_threads(struct vm *vm, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 1; i < vm->config->cpus && !ret; i++)
		ret = vcpu_start(&vm->vcpu[i], &vm->crew, NULL, diag);
	return ret;
}

/* ---- what the boot CPU's thread does meanwhile ---- */

static void make_kvms_part(void *ctx)
{
	struct vm *vm = ctx;
	int ret = kvm_vm_init(&vm->kvm_vm, &vm->kvm, &vm->mem, PLATFORM_N_GSIS,
		PLATFORM_KVM_RESERVED, &vm->kvm_diag);

	if (!ret)
		timeline_record(vm->timeline, TIMELINE_VM);
	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_create(&vm->vcpu[i], &vm->kvm, &vm->kvm_vm, &vm->kvm_diag);
	if (!ret) {
		vm->tsc_khz = tsc_khz_of_vcpu(&vm->kvm_vm, &vm->vcpu[0]);
		timeline_record(vm->timeline, TIMELINE_VCPUS);
	}
	vm->kvm_error = ret;
}

/* ---- what takes both ---- */

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

/* The state to come back to is kept only if that may be. */
static int set_up_vcpus(struct vm *vm, struct diag *diag)
{
	unsigned int n = vm->config->cpus;

	for (unsigned int i = 0; i < n; i++) {
		int ret = vcpu_set_up(&vm->vcpu[i], &vm->kvm, n, diag);

		if (ret)
			return ret;
	}
	for (unsigned int i = 0; i < n && vm->config->on_reboot == ON_REBOOT_RESTART; i++) {
		vm->fresh[i] = vcpu_state_save(&vm->vcpu[i], &vm->kvm, diag);
		if (!vm->fresh[i])
			return -EIO;
	}
	return enter_boot_cpu(vm, diag);
}

int start_create(struct vm *vm, struct diag *diag)
{
	int ret;

	vm->blame = EXIT_HOST_ERROR;
	vm->kvm.fd = vm->kvm_vm.fd = -1;
	crew_init(&vm->crew);
	wire_init(vm);
	vcpu_install_kick_handler();

	ret = reserve_memory(vm, diag);
	if (!ret)
		ret = open_kvm(vm, diag);
	if (!ret)
		ret = vcpu_start(&vm->vcpu[0], &vm->crew, make_kvms_part, diag);
	if (!ret)
		ret = query_kvm(vm, diag);
	if (!ret)
		ret = load(vm, diag);
	if (!ret)
		ret = open_console(vm, diag);
	if (!ret)
		ret = open_debug_console(vm, diag);
	if (!ret)
		ret = start_other_threads(vm, diag);

	crew_gather(&vm->crew);
	if (!ret && vm->kvm_error) {
		*diag = vm->kvm_diag;
		ret = vm->kvm_error;
	}
	if (!ret)
		ret = set_up_vcpus(vm, diag);
	return ret;
}

void start_undo(struct vm *vm)
{
	unsigned int n = vm->config->cpus;

	crew_gather(&vm->crew);
	crew_order(&vm->crew, CREW_LEAVE);
	for (unsigned int i = 0; i < n; i++)
		vcpu_join(&vm->vcpu[i]);
	for (unsigned int i = 0; i < n; i++) {
		log_info("vCPU %u: %llu exits to user space", i,
			(unsigned long long)vm->vcpu[i].n_exits);
		vcpu_state_free(vm->fresh[i]);
		vcpu_fini(&vm->vcpu[i]);
	}
	if (vm->console)
		console_detach(vm->console, vm->control.signals.fd);
	if (vm->debug_output)
		output_detach(vm->debug_output);
	wire_fini(vm);
	crew_fini(&vm->crew);
	kvm_vm_fini(&vm->kvm_vm);
	if (vm->kvm.fd >= 0)
		kvm_fini(&vm->kvm);
	guest_mem_fini(&vm->mem);
}

/* ---- again ---- */

/* To load may take long, and meanwhile nobody but us can be asked to end. */
static int load_again(struct vm *vm, struct diag *diag)
{
	int ret = guest_mem_reset(&vm->mem);

	if (ret)
		return diag_fail(
			diag, -ret, "the guest's memory cannot be emptied: %s", strerror(-ret));
	control_leave_signals(&vm->control);
	ret = load(vm, diag);
	control_take_signals(&vm->control);
	return ret;
}

int start_reset(struct vm *vm, struct diag *diag)
{
	int ret = load_again(vm, diag);

	bus_reset(&vm->pio);
	bus_reset(&vm->mmio);
	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_state_load(&vm->vcpu[i], vm->fresh[i], diag);
	if (!ret)
		ret = kvm_vm_reset_clock(&vm->kvm_vm, diag);
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
	return ret ? ret : load(vm, diag);
}

void start_load_undo(struct vm *vm)
{
	guest_mem_fini(&vm->mem);
}
