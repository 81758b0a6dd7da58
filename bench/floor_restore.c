// SPDX-License-Identifier: MIT
/* floor_restore.c - the floor of restoring: a VM made what it was by the KVM calls that nobody can
 * do without, and by nothing else
 *
 * usage: floor_restore save DIRECTORY MEMORY-MIB CPUS
 *        floor_restore restore DIRECTORY
 *
 * `save` runs first.S, the one that writes its byte again and again, to its first byte, and leaves
 * in the directory a file with KVM's structs as they are and one with RAM as it is.  `restore` maps
 * the latter for itself alone and goes on.  There is no checksum, no form of a file that another
 * version could read, nothing is checked, and nothing is known but KVM: no settings, no device, no
 * thread.
 *
 * What KVM offers is asked for as it is saved, and not again: that costs as much as to create a VM,
 * and a restored machine is what it was.  So are the model-specific registers chosen that KVM
 * takes.
 *
 * With FLOOR_ENTRY=FILE in the environment, `restore` writes there when the guest was entered
 * (CLOCK_MONOTONIC, ns), before it passes on the first byte.
 */
#include "floor_kvm.h"

#include <fcntl.h>

#define MAX_MSRS   512
#define XSAVE_SIZE 4096 /* of struct kvm_xsave, without what follows it on some processors */

extern const uint8_t floor_again[], floor_again_end[];

struct cpu_state {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t xsave[XSAVE_SIZE / sizeof(uint64_t)];
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	union {
		struct kvm_msrs head;
		uint8_t space[sizeof(struct kvm_msrs) + MAX_MSRS * sizeof(struct kvm_msr_entry)];
	} msrs;
};

struct state {
	uint64_t size; /* bytes of RAM */
	unsigned long n_cpus;
	struct kvm_clock_data clock;
	uint64_t cpuid[sizeof(union cpuid) / sizeof(uint64_t)];
	struct cpu_state cpu[MAX_CPUS]; /* n_cpus of them */
};

static struct state state;

static size_t state_size(void)
{
	return sizeof(state) - sizeof(state.cpu) + state.n_cpus * sizeof(*state.cpu);
}

static void add_memory(int vm, uint32_t slot, uint64_t gpa, uint64_t size, int fd, int kind)
{
	uint8_t *hva = mmap(NULL, size, PROT_READ | PROT_WRITE, kind | MAP_NORESERVE, fd,
		(off_t)(gpa ? LOW_MAX : 0));

	add_slot(vm, slot, gpa, size, hva);
}

/* KIND: MAP_SHARED or MAP_PRIVATE. */
static int create_vm(int kvm, int fd, int kind, int cpu[MAX_CPUS])
{
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { N_GSIS } };
	int vm = CALL(kvm, KVM_CREATE_VM, 0);

	add_memory(vm, 0, 0, state.size < LOW_MAX ? state.size : LOW_MAX, fd, kind);
	if (state.size > LOW_MAX)
		add_memory(vm, 1, HIGH_BASE, state.size - LOW_MAX, fd, kind);
	CALL(vm, KVM_ENABLE_CAP, &split);
	for (unsigned long id = 0; id < state.n_cpus; id++) {
		cpu[id] = CALL(vm, KVM_CREATE_VCPU, id);
		CALL(cpu[id], KVM_SET_CPUID2, state.cpuid);
	}
	return vm;
}

static int open_at(const char *dir, const char *name, int flags)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	if (fd < 0)
		fail(path);
	return fd;
}

/* ---- save ---- */

/* Those of KVM's list that this vCPU has, and that it takes. */
static void save_msrs(int kvm, int cpu, struct cpu_state *to)
{
	static union {
		struct kvm_msr_list head;
		uint32_t space[1 + MAX_MSRS];
	} list = { .head.nmsrs = MAX_MSRS };
	uint32_t n = 0;

	list.head.nmsrs = MAX_MSRS;
	CALL(kvm, KVM_GET_MSR_INDEX_LIST, &list);
	for (uint32_t i = 0; i < list.head.nmsrs; i++) {
		union {
			struct kvm_msrs head;
			uint8_t space[sizeof(struct kvm_msrs) + sizeof(struct kvm_msr_entry)];
		} one = { .head.nmsrs = 1 };

		one.head.entries[0].index = list.head.indices[i];
		if (ioctl(cpu, KVM_GET_MSRS, &one) == 1 && ioctl(cpu, KVM_SET_MSRS, &one) == 1)
			to->msrs.head.entries[n++] = one.head.entries[0];
	}
	to->msrs.head.nmsrs = n;
}

static void save_cpu(int kvm, int cpu, struct cpu_state *to)
{
	CALL(cpu, KVM_GET_MP_STATE, &to->mp_state);
	CALL(cpu, KVM_GET_REGS, &to->regs);
	CALL(cpu, KVM_GET_SREGS, &to->sregs);
	CALL(cpu, KVM_GET_XSAVE, to->xsave);
	CALL(cpu, KVM_GET_XCRS, &to->xcrs);
	CALL(cpu, KVM_GET_DEBUGREGS, &to->debugregs);
	CALL(cpu, KVM_GET_LAPIC, &to->lapic);
	CALL(cpu, KVM_GET_VCPU_EVENTS, &to->events);
	save_msrs(kvm, cpu, to);
}

static void save(int kvm, const char *dir)
{
	int ram = open_at(dir, "ram", O_RDWR | O_CREAT | O_TRUNC);
	int file = open_at(dir, "state", O_RDWR | O_CREAT | O_TRUNC), cpu[MAX_CPUS] = { 0 }, vm;
	size_t length = (size_t)(floor_again_end - floor_again);

	if (ftruncate(ram, (off_t)state.size) ||
		pwrite(ram, floor_again, length, ENTRY) != (ssize_t)length)
		fail("ram");
	((struct kvm_cpuid2 *)state.cpuid)->nent = MAX_ENTRIES;
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, state.cpuid);
	vm = create_vm(kvm, ram, MAP_SHARED, cpu);
	set_entry(cpu[0]);
	run_to_byte(cpu[0], map_run(kvm, cpu[0]));
	for (unsigned long id = 0; id < state.n_cpus; id++)
		save_cpu(kvm, cpu[id], &state.cpu[id]);
	CALL(vm, KVM_GET_CLOCK, &state.clock);
	state.clock.flags = 0;
	if (write(file, &state, state_size()) != (ssize_t)state_size())
		fail("state");
}

/* ---- restore ---- */

static void set_cpu(int cpu, const struct cpu_state *from)
{
	CALL(cpu, KVM_SET_MP_STATE, &from->mp_state);
	CALL(cpu, KVM_SET_REGS, &from->regs);
	CALL(cpu, KVM_SET_SREGS, &from->sregs);
	CALL(cpu, KVM_SET_XSAVE, from->xsave);
	if (from->xcrs.nr_xcrs)
		CALL(cpu, KVM_SET_XCRS, &from->xcrs);
	CALL(cpu, KVM_SET_DEBUGREGS, &from->debugregs);
	CALL(cpu, KVM_SET_LAPIC, &from->lapic);
	CALL(cpu, KVM_SET_MSRS, &from->msrs);
	CALL(cpu, KVM_SET_VCPU_EVENTS, &from->events);
}

_Noreturn static void restore(int kvm, const char *dir)
{
	int ram = open_at(dir, "ram", O_RDONLY), file = open_at(dir, "state", O_RDONLY);
	int cpu[MAX_CPUS] = { 0 }, vm;

	if (read(file, &state, sizeof(state)) != (ssize_t)state_size())
		fail("state");
	vm = create_vm(kvm, ram, MAP_PRIVATE, cpu);
	CALL(vm, KVM_SET_CLOCK, &state.clock);
	for (unsigned long id = 0; id < state.n_cpus; id++)
		set_cpu(cpu[id], &state.cpu[id]);
	run_guest(kvm, cpu[0], 1);
}

int main(int argc, char **argv)
{
	int saves = argc == 5 && !strcmp(argv[1], "save");
	int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);

	if (kvm < 0)
		fail("/dev/kvm");
	if (argc == 3 && !strcmp(argv[1], "restore"))
		restore(kvm, argv[2]);
	state.size = saves ? strtoull(argv[3], NULL, 10) << 20 : 0;
	state.n_cpus = saves ? strtoul(argv[4], NULL, 10) : 0;
	if (state.size < 2 * ENTRY || state.n_cpus < 1 || state.n_cpus > MAX_CPUS) {
		fputs("usage: floor_restore save DIRECTORY MEMORY-MIB CPUS\n"
		      "       floor_restore restore DIRECTORY\n",
			stderr);
		return 2;
	}
	save(kvm, argv[2]);
	return 0;
}
