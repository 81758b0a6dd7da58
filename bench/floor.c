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
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define ENTRY       0x100000u
#define LOW_MAX     (UINT64_C(3) << 30) /* the rest of the memory lies from 4 GiB on */
#define HIGH_BASE   (UINT64_C(4) << 30)
#define N_GSIS      24
#define MAX_CPUS    64
#define MAX_ENTRIES 256
#define SERIAL      0x3f8
#define SLEEP       0x600

extern const uint8_t floor_halt[], floor_halt_end[], floor_off[], floor_off_end[];

union cpuid {
	struct kvm_cpuid2 header;
	uint8_t space[sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

_Noreturn static void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int call(int fd, unsigned long request, void *arg, const char *name)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		fail(name);
	return ret;
}

#define CALL(fd, request, arg) call(fd, request, (void *)(uintptr_t)(arg), #request)

static void add_memory(
	int vm, uint32_t slot, uint64_t gpa, uint64_t size, const void *code, size_t length)
{
	uint8_t *hva = mmap(NULL, size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	if (hva == MAP_FAILED)
		fail("mmap");
	if (code) {
		madvise(hva, size, MADV_NOHUGEPAGE); /* advice: no reason to fail */
		memcpy(hva + ENTRY, code, length);
	}
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

static int add_cpu(int vm, unsigned long id, const union cpuid *cpuid)
{
	int cpu = CALL(vm, KVM_CREATE_VCPU, id);

	CALL(cpu, KVM_SET_CPUID2, cpuid);
	return cpu;
}

/* The PVH entry: 32-bit protected mode, flat segments, no paging. */
static void set_entry(int cpu)
{
	struct kvm_segment code = { .limit = 0xffffffff,
		.selector = 8,
		.type = 0xb,
		.present = 1,
		.db = 1,
		.s = 1,
		.g = 1 };
	struct kvm_segment data = code;
	struct kvm_regs regs = { .rip = ENTRY, .rflags = 2 };
	struct kvm_sregs sregs;

	data.selector = 16;
	data.type = 3;
	CALL(cpu, KVM_GET_SREGS, &sregs);
	sregs.cr0 = 0x11; /* PE, ET */
	sregs.cs = code;
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = data;
	CALL(cpu, KVM_SET_SREGS, &sregs);
	CALL(cpu, KVM_SET_REGS, &regs);
}

static void write_time(const struct timespec *entered)
{
	const char *path = getenv("FLOOR_ENTRY");
	FILE *file = path ? fopen(path, "we") : NULL;

	if (path && !file)
		fail(path);
	if (!file)
		return;
	fprintf(file, "%lld%09ld\n", (long long)entered->tv_sec, entered->tv_nsec);
	if (fclose(file))
		fail(path);
}

static void run(int kvm, int cpu)
{
	size_t size = (size_t)CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *state = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);
	struct timespec entered;

	if (state == MAP_FAILED)
		fail("mmap");
	clock_gettime(CLOCK_MONOTONIC, &entered);
	for (;;) {
		CALL(cpu, KVM_RUN, 0);
		if (state->exit_reason != KVM_EXIT_IO)
			break;
		if (state->io.port == SERIAL &&
			write(STDOUT_FILENO, (uint8_t *)state + state->io.data_offset, 1) != 1)
			fail("standard output");
		if (state->io.port == SLEEP) {
			write_time(&entered);
			exit(0);
		}
	}
	fprintf(stderr, "floor: exit %u is not known here\n", state->exit_reason);
	exit(1);
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
	run(kvm, cpu);
}
