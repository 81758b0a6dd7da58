// SPDX-License-Identifier: MIT
/* saved.c - all of a machine but its RAM, into a file's sections and out of them */

#include "vm/saved.h"

#include "config/json_write.h"
#include "vm/vmgenid.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct state_field machine_fields[] = {
	STATE_FIELD(struct snapshot_machine, memory, 1),
	STATE_FIELD(struct snapshot_machine, n_cpus, 1),
	STATE_FIELD(struct snapshot_machine, n_devices, 1),
	STATE_BOOL(struct snapshot_machine, has_pci, 1),
	STATE_BOOL(struct snapshot_machine, is_linux, 1),
	STATE_FIELD(struct snapshot_machine, clock_ns, 1),
	STATE_FIELD(struct snapshot_machine, realtime_ns, 1),
	STATE_FIELD(struct snapshot_machine, vmgenid, 1),
	STATE_LIST(struct snapshot_machine, version, n_version, 1),
	STATE_END,
};

const struct state_table snapshot_machine_state = { "machine", 1, machine_fields };

static uint64_t realtime_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* ---- into a file ---- */

int saved_check(const struct vm *vm, struct diag *diag)
{
	for (unsigned int i = 0; i < vm->devices.n; i++) {
		const char *why = virtio_why_not_saved(vm->devices.dev[i]);

		if (why)
			return diag_fail(diag, EOPNOTSUPP, "%s cannot be saved: %s",
				vm->devices.dev[i]->dev.name, why);
	}
	return 0;
}

static int write_machine(struct vm *vm, struct state_writer *writer, struct diag *diag)
{
	struct snapshot_machine machine = {
		.memory = guest_mem_size(&vm->mem),
		.n_cpus = vm->config->cpus,
		.n_devices = vm->devices.n,
		.has_pci = config_has_pci(vm->config),
		.is_linux = vm->is_linux,
		.realtime_ns = realtime_now(),
		.vmgenid = vm->handover.acpi.vmgenid,
	};
	int ret = kvm_vm_get_clock(&vm->kvm_vm, &machine.clock_ns, diag);

	machine.n_version = (uint32_t)snprintf(
		machine.version, sizeof(machine.version), "%s", PRONTO_VERSION);
	if (!ret)
		state_save(writer, &snapshot_machine_state, 0, &machine);
	return ret;
}

static int write_config(const struct vm *vm, struct state_writer *writer, struct diag *diag)
{
	char *text = config_write_json(vm->config);

	if (!text)
		return diag_fail(diag, EINVAL,
			"the machine's settings cannot be written: one of them is not UTF-8");
	state_save_bytes(writer, "config", 0, text, strlen(text));
	free(text);
	return 0;
}

static int write_vcpus(const struct vm *vm, struct state_writer *writer, struct diag *diag)
{
	for (unsigned int i = 0; i < vm->config->cpus; i++) {
		struct vcpu_state *state = vcpu_state_save(&vm->vcpu[i], &vm->kvm, diag);

		if (!state)
			return -EIO;
		vcpu_state_set_cpuid(state, &vm->vcpu[i], &vm->kvm, vm->config->cpus, vm->saved[i]);
		state_save(writer, &vcpu_state_table, i, state);
		vcpu_state_free(state);
	}
	return 0;
}

/* No vCPU runs, and no device is woken by its host's side: their locks are free. */
static void write_platform(struct vm *vm, struct state_writer *writer)
{
	power_saving(&vm->power);
	state_save(writer, &ioapic_state, 0, &vm->ioapic);
	state_save(writer, &serial_state, 0, &vm->serial);
	state_save(writer, &power_state, 0, &vm->power);
	state_save(writer, &rtc_state, 0, &vm->rtc);
	if (!config_has_pci(vm->config))
		return;
	state_save(writer, &pci_state, 0, &vm->pci);
	state_save(writer, &pci_function_state, 0, &vm->pci.bridge);
}

static int write_devices(struct vm *vm, struct state_writer *writer, struct diag *diag)
{
	struct diag why;
	int ret = 0;

	for (unsigned int i = 0; i < vm->devices.n && !ret; i++) {
		struct virtio_dev *dev = vm->devices.dev[i];

		if (config_has_pci(vm->config))
			virtio_pci_save(&vm->devices.slot[i].pci, writer, i);
		else
			state_save(writer, &virtio_mmio_state, i, &vm->devices.slot[i].mmio);
		ret = virtio_save(dev, writer, i, &why);
		if (ret)
			diag_fail(diag, -ret, "%s cannot be saved: %s", dev->dev.name, why.text);
	}
	return ret;
}

int saved_write(struct vm *vm, struct state_writer *writer, struct diag *diag)
{
	int ret = write_machine(vm, writer, diag);

	if (!ret)
		ret = write_config(vm, writer, diag);
	if (!ret)
		ret = write_vcpus(vm, writer, diag);
	if (ret)
		return ret;
	write_platform(vm, writer);
	return write_devices(vm, writer, diag);
}

/* ---- out of it ---- */

static int load_vcpu_states(struct vm *vm, struct snapshot *snapshot, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++) {
		vm->saved[i] = vcpu_state_new();
		if (!vm->saved[i])
			return diag_fail(diag, ENOMEM, "out of memory");
		ret = state_load(&snapshot->reader, &vcpu_state_table, i, vm->saved[i], diag);
	}
	return ret;
}

static int set_up_vcpus(struct vm *vm, struct snapshot *snapshot, struct diag *diag)
{
	int ret = load_vcpu_states(vm, snapshot, diag);

	if (!ret)
		ret = vcpu_state_check(vm->saved[0], &vm->kvm, diag);
	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_state_set_up(&vm->vcpu[i], vm->saved[i], vm->tsc_khz, diag);
	vm->tsc_khz = tsc_khz_of_vcpu(&vm->kvm_vm, &vm->vcpu[0]);
	return ret;
}

static int load_platform(struct vm *vm, struct state_reader *reader, struct diag *diag)
{
	int ret = ioapic_load(&vm->ioapic, reader, diag);

	if (!ret)
		ret = serial_load(&vm->serial, reader, diag);
	if (!ret)
		ret = power_load(&vm->power, reader, diag);
	if (!ret)
		ret = rtc_load(&vm->rtc, reader, diag);
	if (ret || !config_has_pci(vm->config))
		return ret;
	ret = state_load(reader, &pci_state, 0, &vm->pci, diag);
	return ret ? ret : pci_load_function(&vm->pci.bridge, reader, diag);
}

static int load_devices(struct vm *vm, struct state_reader *reader, struct diag *diag)
{
	int ret = 0;

	for (unsigned int i = 0; i < vm->devices.n && !ret; i++) {
		if (config_has_pci(vm->config))
			ret = virtio_pci_load(&vm->devices.slot[i].pci, reader, i, diag);
		else
			ret = state_load(
				reader, &virtio_mmio_state, i, &vm->devices.slot[i].mmio, diag);
		if (!ret)
			ret = virtio_load(vm->devices.dev[i], reader, i, diag);
	}
	return ret;
}

/* How long it was asleep, for a guest whose clock is to be the host's; a host's clock that was set
 * back does not have the guest's go back.
 */
static uint64_t asleep_ns(const struct vm *vm, const struct snapshot_machine *machine)
{
	uint64_t now = realtime_now();

	return vm->clock_stands || now < machine->realtime_ns ? 0 : now - machine->realtime_ns;
}

/* The guest's clocks go on together: kvmclock, and the time stamp counters that it is told by. */
static int load_vcpus(struct vm *vm, const struct snapshot_machine *machine, struct diag *diag)
{
	uint64_t asleep = asleep_ns(vm, machine);
	uint64_t khz = vm->tsc_khz > 0 ? (uint64_t)vm->tsc_khz : 0;
	uint64_t ticks = (uint64_t)((__uint128_t)asleep * khz / 1000000u);
	int ret = kvm_vm_set_clock(&vm->kvm_vm, machine->clock_ns + asleep, diag);

	vcpu_states_set_tsc(
		vm->saved, vm->config->cpus, &vm->vcpu[0], vcpu_state_tsc(vm->saved[0]) + ticks);
	for (unsigned int i = 0; i < vm->config->cpus && !ret; i++)
		ret = vcpu_state_load(&vm->vcpu[i], vm->saved[i], diag);
	return ret;
}

int saved_load(struct vm *vm, struct snapshot *snapshot, struct diag *diag)
{
	struct state_reader *reader = &snapshot->reader;
	int ret = set_up_vcpus(vm, snapshot, diag);

	if (!ret)
		ret = load_platform(vm, reader, diag);
	if (!ret)
		ret = load_devices(vm, reader, diag);
	if (!ret)
		ret = state_check_all_loaded(reader, diag);
	if (!ret)
		ret = load_vcpus(vm, &snapshot->machine, diag);
	/* Last, as the guest is interrupted for it. */
	vm->handover.acpi.vmgenid = snapshot->machine.vmgenid;
	return ret ? ret : vmgenid_renew(vm, diag);
}
