// SPDX-License-Identifier: MIT
/* vm.c - one virtual machine: assembly and life cycle */

#include "vm/vm.h"

#include "bus/platform.h"
#include "util/log.h"
#include "vm/control.h"
#include "vm/merge.h"

#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#define QUIET_MS 1000

/* ---- what the guest and its devices ask of the machine ---- */

/* The first caller decides how the run ended.  Any thread. */
void vm_end(struct vm *vm, enum exit_code outcome)
{
	int running = VM_RUNNING;

	if (!atomic_compare_exchange_strong(&vm->outcome, &running, (int)outcome))
		return;
	timeline_record(vm->host->timeline, TIMELINE_END);
	loop_counter_add(vm->end.fd);
}

/* A vCPU that asked for the end runs no further instruction. */
static void vm_end_by_guest(struct vm *vm, enum exit_code outcome)
{
	vm_end(vm, outcome);
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		atomic_store_explicit(&vm->vcpu[i].stop, true, memory_order_release);
}

static void guest_poweroff(void *ctx)
{
	vm_end_by_guest(ctx, EXIT_POWEROFF);
}

static void guest_reset(void *ctx)
{
	vm_end_by_guest(ctx, EXIT_REBOOT);
}

static void guest_mark(void *ctx, uint8_t mark)
{
	struct vm *vm = ctx;

	timeline_record(vm->host->timeline, TIMELINE_MARK + mark);
}

static const struct power_ops power_ops = {
	.poweroff = guest_poweroff,
	.reset = guest_reset,
	.mark = guest_mark,
};

static uint64_t host_time(void *)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static bool serial_out(void *ctx, uint8_t byte)
{
	struct vm *vm = ctx;

	timeline_record(vm->host->timeline, TIMELINE_CONSOLE);
	return console_send(vm->host->console, byte);
}

static bool serial_can_send(void *ctx)
{
	struct vm *vm = ctx;

	return console_can_send(vm->host->console);
}

static void serial_want_input(void *ctx)
{
	struct vm *vm = ctx;

	console_want_input(vm->host->console);
}

static const struct serial_ops serial_ops = {
	.send = serial_out,
	.can_send = serial_can_send,
	.want_input = serial_want_input,
};

static size_t console_input_room(void *ctx)
{
	return serial_receive_room(&((struct vm *)ctx)->serial);
}

static void console_input(void *ctx, const uint8_t *data, size_t size)
{
	serial_receive(&((struct vm *)ctx)->serial, data, size);
}

static void console_output_room(void *ctx)
{
	serial_send_ready(&((struct vm *)ctx)->serial);
}

static void console_escape(void *ctx)
{
	log_info("the escape key ends the VM");
	vm_end(ctx, EXIT_KILLED);
}

static const struct console_ops console_ops = {
	.input_room = console_input_room,
	.input = console_input,
	.output_room = console_output_room,
	.escape = console_escape,
};

static int send_msi(void *ctx, uint64_t address, uint32_t data)
{
	struct vm *vm = ctx;

	return kvm_vm_signal_msi(&vm->kvm_vm, address, data);
}

static uint64_t vcpu_pio_read(void *ctx, uint16_t port, unsigned int size)
{
	return bus_read(&((struct vm *)ctx)->pio, port, size);
}

static void vcpu_pio_write(void *ctx, uint16_t port, unsigned int size, uint64_t value)
{
	bus_write(&((struct vm *)ctx)->pio, port, size, value);
}

static uint64_t vcpu_mmio_read(void *ctx, uint64_t gpa, unsigned int size)
{
	return bus_read(&((struct vm *)ctx)->mmio, gpa, size);
}

static void vcpu_mmio_write(void *ctx, uint64_t gpa, unsigned int size, uint64_t value)
{
	bus_write(&((struct vm *)ctx)->mmio, gpa, size, value);
}

/* KVM's part of the machine: the boot CPU's thread makes it. */
static int vm_create(struct vm *vm, struct diag *diag)
{
	int ret = kvm_vm_init(
		&vm->kvm_vm, &vm->kvm, &vm->mem, PLATFORM_N_GSIS, PLATFORM_KVM_RESERVED, diag);

	if (ret)
		return ret;
	timeline_record(vm->host->timeline, TIMELINE_VM);
	vm_start_reach(&vm->start, VM_STAGE_CREATED);
	return 0;
}

static int vm_set_entry(const struct vm *vm, struct vcpu *vcpu, struct diag *diag)
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

	return vcpu_set_pvh_entry(vcpu, &entry, diag);
}

static int vm_create_vcpu(struct vm *vm, struct vcpu *vcpu, struct diag *diag)
{
	bool boot = vcpu->id == 0;
	int ret = boot ? vm_create(vm, diag) : vm_start_await(&vm->start, VM_STAGE_CREATED, diag);

	if (!ret)
		ret = vcpu_create(vcpu, &vm->kvm, &vm->kvm_vm, diag);
	if (!ret)
		ret = vm_start_await(&vm->start, VM_STAGE_CPUID, diag);
	if (!ret)
		ret = vcpu_set_up(vcpu, &vm->kvm, vm->host->config->cpus, diag);
	if (ret)
		return ret;
	if (boot) {
		atomic_store(&vm->tsc_khz, tsc_khz_of_vcpu(&vm->kvm_vm, vcpu));
		timeline_record(vm->host->timeline, TIMELINE_VCPUS);
	}
	readers_help(&vm->readers);
	if (!boot)
		return 0;
	ret = vm_start_await(&vm->start, VM_STAGE_LOADED, diag);
	if (ret)
		return ret;
	return vm_set_entry(vm, vcpu, diag);
}

static bool vcpu_starting(void *ctx, struct vcpu *vcpu)
{
	struct vm *vm = ctx;
	struct diag diag;
	int ret = vm_create_vcpu(vm, vcpu, &diag);

	if (ret) {
		vm_start_fail(&vm->start, ret, &diag);
		vm_end(vm, EXIT_HOST_ERROR);
		return false;
	}
	vm_start_reach(&vm->start, VM_STAGE_GO);
	/* The others wait in KVM, for the boot CPU's INIT and SIPI. */
	if (vcpu->id)
		return true;
	if (vm_start_await(&vm->start, VM_STAGE_GO, &diag))
		return false;
	timeline_record(vm->host->timeline, TIMELINE_GUEST);
	return true;
}

static void vcpu_ended(void *ctx, enum vcpu_end end)
{
	vm_end_by_guest(ctx, end == VCPU_END_CRASH ? EXIT_CRASH : EXIT_HOST_ERROR);
}

static const struct vcpu_ops vcpu_ops = {
	.pio_read = vcpu_pio_read,
	.pio_write = vcpu_pio_write,
	.mmio_read = vcpu_mmio_read,
	.mmio_write = vcpu_mmio_write,
	.starting = vcpu_starting,
	.ended = vcpu_ended,
};

/* ---- assembly ---- */

int vm_reserve(struct vm *vm, const struct vm_host *host, struct diag *diag)
{
	uint64_t size = host->config->memory;
	int ret;

	memset(vm, 0, sizeof(*vm));
	vm->host = host;
	ret = guest_mem_init(&vm->mem, size);
	if (ret)
		return diag_fail(diag, -ret, "--memory: the host has no room for %llu MiB: %s",
			(unsigned long long)(size >> 20), strerror(-ret));
	readers_init(&vm->readers, &vm->mem);
	vm_start_init(&vm->start, host->config->cpus);
	return 0;
}

void vm_release(struct vm *vm)
{
	vm_start_fini(&vm->start);
	readers_fini(&vm->readers);
	guest_mem_fini(&vm->mem);
}

int vm_load(struct vm *vm, const struct boot_spec *spec, struct diag *diag)
{
	struct diag reason;
	int ret = boot_load(&vm->readers, spec, &vm->handover, &reason);

	if (ret)
		return diag_fail(diag, -ret, "%s: %s", vm->host->config->kernel, reason.text);
	ret = vm_merge(vm, spec, diag);
	if (ret)
		return ret;
	timeline_record(vm->host->timeline, TIMELINE_LOADED);
	vm_start_reach(&vm->start, VM_STAGE_LOADED);
	readers_dismiss(&vm->readers);
	return 0;
}

static void vm_init_devices(struct vm *vm)
{
	struct irq_line serial_line = { &vm->ioapic.chip, PLATFORM_SERIAL_GSI };
	struct irq_line power_line = { &vm->ioapic.chip, PLATFORM_GED_GSI };

	ioapic_init(&vm->ioapic, send_msi, vm);
	serial_init(&vm->serial, serial_line, &serial_ops, vm);
	power_init(&vm->power, power_line, &power_ops, vm);
	pc_reset_init(&vm->pc_reset, guest_reset, vm);
	rtc_init(&vm->rtc, host_time, NULL);
	bus_add(&vm->mmio, PLATFORM_IOAPIC_BASE, PLATFORM_IOAPIC_SIZE, &vm->ioapic.chip.dev);
	bus_add(&vm->pio, PLATFORM_SERIAL_PORT, PLATFORM_SERIAL_PORT_SIZE, &vm->serial.dev);
	bus_add(&vm->pio, PLATFORM_PM_PORT, PLATFORM_PM_PORT_SIZE, &vm->power.dev);
	bus_add(&vm->pio, PLATFORM_KEYBOARD_PORT, 1, &vm->pc_reset.keyboard);
	bus_add(&vm->pio, PLATFORM_RESET_CONTROL_PORT, 1, &vm->pc_reset.control);
	bus_add(&vm->pio, PLATFORM_RTC_PORT, PLATFORM_RTC_PORT_SIZE, &vm->rtc.dev);
}

static void vm_fini_devices(struct vm *vm)
{
	rtc_fini(&vm->rtc);
	pc_reset_fini(&vm->pc_reset);
	power_fini(&vm->power);
	serial_fini(&vm->serial);
	ioapic_fini(&vm->ioapic);
}

/* Until there are n. */
static int vm_start_vcpus(struct vm *vm, unsigned int n, struct diag *diag)
{
	for (; vm->n_vcpus < n; vm->n_vcpus++) {
		int ret = vcpu_start(&vm->vcpu[vm->n_vcpus], vm->n_vcpus, &vcpu_ops, vm, diag);

		if (ret)
			return ret;
	}
	return 0;
}

static int vm_check_cpus(const struct vm *vm, struct diag *diag)
{
	unsigned int n = vm->host->config->cpus;
	int max = kvm_max_vcpus(vm->kvm.fd);

	if ((int)n > max)
		return diag_fail(
			diag, E2BIG, "--cpus %u: this host's KVM offers at most %d", n, max);
	return 0;
}

static void vm_stop_vcpus(struct vm *vm)
{
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_stop(&vm->vcpu[i]);
	for (unsigned int i = 0; i < vm->n_vcpus; i++)
		vcpu_join(&vm->vcpu[i]);
}

static void vm_fini_vcpus(struct vm *vm)
{
	static const struct diag given_up = { "given up" };

	vm_start_fail(&vm->start, -ECANCELED, &given_up);
	readers_dismiss(&vm->readers);
	vm_stop_vcpus(vm);
	for (; vm->n_vcpus; vm->n_vcpus--)
		vcpu_fini(&vm->vcpu[vm->n_vcpus - 1]);
}

static void end_ready(void *ctx, uint32_t)
{
	loop_stop(&((struct vm *)ctx)->loop);
}

static int vm_init_loop(struct vm *vm, struct diag *diag)
{
	int ret = loop_init(&vm->loop);

	if (ret)
		return diag_fail(diag, -ret, "epoll: %s", strerror(-ret));
	atomic_init(&vm->outcome, VM_RUNNING);
	vm->end =
		(struct loop_source){ eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), end_ready, vm, NULL };
	ret = vm->end.fd < 0 ? -errno : loop_add(&vm->loop, &vm->end, EPOLLIN);
	if (!ret)
		return 0;
	diag_fail(diag, -ret, "eventfd: %s", strerror(-ret));
	if (vm->end.fd >= 0)
		close(vm->end.fd);
	loop_fini(&vm->loop);
	return ret;
}

static void vm_fini_loop(struct vm *vm)
{
	close(vm->end.fd);
	loop_fini(&vm->loop);
}

int vm_init(struct vm *vm, struct diag *diag)
{
	int ret = kvm_init(&vm->kvm, diag);

	if (ret)
		return ret;
	ret = vm_init_loop(vm, diag);
	if (ret)
		goto err_kvm;
	vm->kvm_vm.fd = -1;
	vm_init_devices(vm);
	vcpu_install_kick_handler();
	ret = vm_check_cpus(vm, diag);
	if (!ret)
		ret = vm_start_vcpus(vm, 1, diag);
	if (!ret)
		ret = kvm_query_cpuid(&vm->kvm, diag);
	if (!ret)
		ret = kvm_check_memory(&vm->kvm, &vm->mem, diag);
	if (ret)
		goto err_vcpus;
	timeline_record(vm->host->timeline, TIMELINE_KVM);
	vm_start_reach(&vm->start, VM_STAGE_CPUID);
	/* Started with the boot CPU's they would wait for the VM, all of them. */
	ret = vm_start_vcpus(vm, vm->host->config->cpus, diag);
	if (ret)
		goto err_vcpus;
	return 0;

err_vcpus:
	vm_fini_vcpus(vm);
	vm_fini_devices(vm);
	vm_fini_loop(vm);
	kvm_vm_fini(&vm->kvm_vm);
err_kvm:
	kvm_fini(&vm->kvm);
	return ret;
}

void vm_fini(struct vm *vm)
{
	vm_fini_vcpus(vm);
	vm_fini_devices(vm);
	vm_fini_loop(vm);
	kvm_vm_fini(&vm->kvm_vm);
	kvm_fini(&vm->kvm);
}

/* ---- life ---- */

/* A guest that was asked to power off, and reset instead, is not to have another life. */
static enum exit_code vm_outcome(const struct vm *vm)
{
	enum exit_code outcome = (enum exit_code)atomic_load(&vm->outcome);

	if (outcome == EXIT_REBOOT && vm->grace.fd >= 0 &&
		vm->host->config->on_reboot == ON_REBOOT_RESTART)
		return EXIT_KILLED;
	return outcome;
}

/* Whether KVM has the TSC's rate right is looked at when the guest first lets us rest, as it does
 * sooner or later where its timers do not come: a start has no time for it.
 */
static void judge_tsc(void *ctx)
{
	struct vm *vm = ctx;
	struct diag finding;

	if (tsc_check(atomic_load(&vm->tsc_khz), &vm->tsc_first, &finding) == TSC_WRONG)
		log_warn("the TSC's rate: %s", finding.text);
}

static void watch_tsc(void *ctx)
{
	struct vm *vm = ctx;

	tsc_sample(&vm->tsc_first);
	loop_when_quiet(&vm->loop, TSC_WATCH_MS, judge_tsc, vm);
}

int vm_run(struct vm *vm, enum exit_code *outcome, struct diag *diag)
{
	int ret = vm_control_init(vm, diag);

	if (ret)
		return ret;
	ret = console_attach(
		vm->host->console, &vm->loop, &vm->serial.dev.lock, &console_ops, vm, diag);
	if (ret)
		goto err_control;
	vm_start_reach(&vm->start, VM_STAGE_GO);
	loop_when_quiet(&vm->loop, QUIET_MS, watch_tsc, vm);
	ret = loop_run(&vm->loop);
	if (ret)
		diag_fail(diag, -ret, "epoll: %s", strerror(-ret));
	vm_stop_vcpus(vm);
	if (!ret)
		ret = vm_start_error(&vm->start, diag);
	for (unsigned int i = 0; i < vm->n_vcpus && !ret; i++)
		log_info("vCPU %u: %llu exits to user space", i,
			(unsigned long long)vm->vcpu[i].n_exits);
	console_detach(vm->host->console);
	*outcome = ret ? EXIT_HOST_ERROR : vm_outcome(vm);
err_control:
	vm_control_fini(vm);
	return ret;
}
