// SPDX-License-Identifier: MIT
/* floor.c - the floor: a VM by the KVM calls that nobody can do without, and by nothing else
 *
 * usage: floor MEMORY-MIB CPUS halt|off
 *
 * The guest is first.S; its byte goes to standard output.  There is no option parsing worth the
 * name, no kernel file, no start info, no ACPI, no device, no thread and nothing is taken down: a
 * real monitor does more than this and so cannot be faster, unless it finds a call here that is not
 * needed.
 *
 * With FLOOR_ENTRY=FILE in the environment, FILE has at the end the time at which the guest was
 * entered (CLOCK_MONOTONIC, ns).
 *
 * In the order that speed depends on: memory before the interrupt chip.  The guest has one page,
 * and the memory is told so: where huge pages need no asking, 2 MiB would be zeroed for it if it
 * happens to lie so that one fits around it.  Secondary CPUs are created and know their CPUID; they
 * wait for a start that never comes, so they need no thread.
 */
#include "floor_kvm.h"

#include <fcntl.h>

extern const uint8_t floor_halt[], floor_halt_end[], floor_off[], floor_off_end[];

static void add_memory(
	int vm, uint32_t slot, uint64_t gpa, uint64_t size, const void *code, size_t length)
{
	uint8_t *hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (hva == MAP_FAILED)
		fail("mmap");
	if (code) {
		madvise(hva, size, MADV_NOHUGEPAGE); /* advice: no reason to fail */
		memcpy(hva + ENTRY, code, length);
	}
	add_slot(vm, slot, gpa, size, hva);
}

static int add_cpu(int vm, unsigned long id, const union cpuid *cpuid)
{
	int cpu = CALL(vm, KVM_CREATE_VCPU, id);

	CALL(cpu, KVM_SET_CPUID2, cpuid);
	return cpu;
}

int main(int argc, char **argv)
{
	static union cpuid cpuid = { .header.nent = MAX_ENTRIES };
	struct kvm_enable_cap split = { .cap = KVM_CAP_SPLIT_IRQCHIP, .args = { N_GSIS } };
	uint64_t size = argc == 4 ? strtoull(argv[1], NULL, 10) << 20 : 0;
	unsigned long n_cpus = argc == 4 ? strtoul(argv[2], NULL, 10) : 0;
	int off = argc == 4 && !strcmp(argv[3], "off"), kvm, vm, cpu;
	const uint8_t *code = off ? floor_off : floor_halt;
	const uint8_t *end = off ? floor_off_end : floor_halt_end;

	if (size < 2 * ENTRY || n_cpus < 1 || n_cpus > MAX_CPUS) {
		fputs("usage: floor MEMORY-MIB CPUS halt|off\n", stderr);
		return 2;
	}
	kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (kvm < 0)
		fail("/dev/kvm");
	vm = CALL(kvm, KVM_CREATE_VM, 0);
	add_memory(vm, 0, 0, size < LOW_MAX ? size : LOW_MAX, code, (size_t)(end - code));
	if (size > LOW_MAX)
		add_memory(vm, 1, HIGH_BASE, size - LOW_MAX, NULL, 0);
	CALL(vm, KVM_ENABLE_CAP, &split);
	CALL(kvm, KVM_GET_SUPPORTED_CPUID, &cpuid);
	cpu = add_cpu(vm, 0, &cpuid);
	for (unsigned long id = 1; id < n_cpus; id++)
		add_cpu(vm, id, &cpuid);
	set_entry(cpu);
	run_guest(kvm, cpu, 0);
}
