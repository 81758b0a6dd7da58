/* SPDX-License-Identifier: MIT */
/* floor_kvm.h - what both floors do: calls that have to succeed, and a guest that runs */
#ifndef BENCH_FLOOR_KVM_H
#define BENCH_FLOOR_KVM_H

#include <errno.h>
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

union cpuid {
	struct kvm_cpuid2 header;
	uint8_t space[sizeof(struct kvm_cpuid2) + MAX_ENTRIES * sizeof(struct kvm_cpuid_entry2)];
};

_Noreturn static inline void fail(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static inline int call(int fd, unsigned long request, void *arg, const char *name)
{
	int ret = ioctl(fd, request, arg);

	if (ret < 0)
		fail(name);
	return ret;
}

#define CALL(fd, request, arg) call(fd, request, (void *)(uintptr_t)(arg), #request)

static inline void add_slot(int vm, uint32_t slot, uint64_t gpa, uint64_t size, const uint8_t *hva)
{
	struct kvm_userspace_memory_region region = {
		.slot = slot,
		.guest_phys_addr = gpa,
		.memory_size = size,
		.userspace_addr = (uintptr_t)hva,
	};

	if (hva == MAP_FAILED)
		fail("mmap");
	CALL(vm, KVM_SET_USER_MEMORY_REGION, &region);
}

/* The PVH entry: 32-bit protected mode, flat segments, no paging. */
static inline void set_entry(int cpu)
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

static inline struct kvm_run *map_run(int kvm, int cpu)
{
	size_t size = (size_t)CALL(kvm, KVM_GET_VCPU_MMAP_SIZE, 0);
	struct kvm_run *run = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, cpu, 0);

	if (run == MAP_FAILED)
		fail("mmap");
	return run;
}

/* Until it writes a byte to the serial port or the sleep register: which of them. */
static inline unsigned int run_to_byte(int cpu, const struct kvm_run *run)
{
	CALL(cpu, KVM_RUN, 0);
	if (run->exit_reason == KVM_EXIT_IO)
		return run->io.port;
	fprintf(stderr, "floor: exit %u is not known here\n", run->exit_reason);
	exit(1);
}

/* FLOOR_ENTRY=FILE: when the guest was entered. */
static inline void write_time(const struct timespec *entered)
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

/* Its bytes to standard output, until it powers off.  AT_ONCE: the time is written after the first.
 */
_Noreturn static inline void run_guest(int kvm, int cpu, int at_once)
{
	const struct kvm_run *run = map_run(kvm, cpu);
	struct timespec entered;

	clock_gettime(CLOCK_MONOTONIC, &entered);
	for (;;) {
		unsigned int port = run_to_byte(cpu, run);

		if (port == SERIAL &&
			write(STDOUT_FILENO, (const uint8_t *)run + run->io.data_offset, 1) != 1)
			fail("standard output");
		if (at_once || port == SLEEP)
			write_time(&entered);
		if (port == SLEEP)
			exit(0);
		at_once = 0;
	}
}

#endif
