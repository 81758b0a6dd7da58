// SPDX-License-Identifier: MIT
/* cpu.c - what the processor says of itself, and the clocks that a kernel would use */

#include "guest.h"

#define MSR_WALL_CLOCK  0x4b564d00u
#define MSR_SYSTEM_TIME 0x4b564d01u

/* KVM's clock, as the kernel's Documentation/virt/kvm/x86/msr.rst lays it out. */
struct system_time {
	volatile uint32_t version;
	uint32_t pad;
	uint64_t tsc, ns;
	uint32_t multiplier;
	int8_t shift;
	uint8_t flags, pad2[2];
};

struct wall_clock {
	volatile uint32_t version;
	uint32_t seconds, ns;
};

static struct system_time system_time __attribute__((aligned(64)));
static struct wall_clock wall_clock __attribute__((aligned(64)));

/* The TSC's rate, as CPUID has it, is the one by which KVM's clock reckons. */
static void check_rates(void)
{
	struct cpuid timing = cpuid(0x40000010, 0);
	uint32_t in_a_ms = (uint32_t)((uint64_t)timing.eax * system_time.multiplier >> 32);

	in_a_ms = system_time.shift < 0 ? in_a_ms >> -system_time.shift
	                                : in_a_ms << system_time.shift;
	check(in_a_ms > 999000 && in_a_ms < 1001000, "CPUID has the TSC's rate");
	check_equal(timing.ebx, 1000000, "and that of the APIC's timer");
}

static void check_clocks(uint32_t features)
{
	check(features & 1u << 3, "KVM offers its clock");
	if (!(features & 1u << 3))
		return;
	write_msr(MSR_SYSTEM_TIME, (uint32_t)&system_time | 1);
	inb(SERIAL + 7); /* an exit: the clock is filled at the next entry */
	check(system_time.version && !(system_time.version & 1), "KVM's clock is filled");
	check(system_time.multiplier != 0, "KVM's clock has a pace");
	check_rates();
	write_msr(MSR_WALL_CLOCK, (uint32_t)&wall_clock);
	put("# boot time ");
	put_number(wall_clock.seconds);
	put("\n");
}

/* What a guest has only if it is asked for. */
static void check_extras(void)
{
	struct cpuid one = cpuid(1, 0), seven = cpuid(7, 0), amd = cpuid(0x80000001, 0);
	struct cpuid perfmon = cpuid(0xa, 0), amd_perfmon = { 0 };

	if (cpuid(0x80000000, 0).eax >= 0x80000022)
		amd_perfmon = cpuid(0x80000022, 0);
	check_equal(one.ecx >> 5 & 1, 0, "no VMX");
	check_equal(amd.ecx >> 2 & 1, 0, "no SVM");
	check_equal(one.ecx >> 15 & 1, 0, "no performance capabilities");
	check_equal(perfmon.eax & 0xff, 0, "no performance counters");
	check_equal(amd.ecx & 0x11800000, 0, "nor AMD's");
	check_equal(amd_perfmon.eax, 0, "nor their second version");
	check_equal(seven.ecx >> 5 & 1, 0, "no WAITPKG");
}

static void put_name(void)
{
	put("# name ");
	for (uint32_t leaf = 0x80000002; leaf <= 0x80000004; leaf++) {
		struct cpuid part = cpuid(leaf, 0);
		const char *text = (const char *)&part;

		for (uint32_t i = 0; i < 16 && text[i]; i++)
			put_char(text[i]);
	}
	put("\n");
}

void guest_main(void)
{
	struct cpuid one = cpuid(1, 0), base = cpuid(0x40000000, 0);

	check(one.ecx >> 31, "the hypervisor bit is set");
	check(one.ecx >> 21 & 1, "x2APIC is there");
	check(one.ecx >> 24 & 1, "the TSC deadline timer is there");
	check(one.edx >> 9 & 1, "the local APIC is there");
	check(base.ebx == 0x4b4d564b && base.ecx == 0x564b4d56 && base.edx == 0x4d,
		"the leaves at 0x40000000 are KVM's");
	check(base.eax >= 0x40000010, "there are features and rates among them");
	check_clocks(cpuid(0x40000001, 0).eax);
	check_equal(inb(0x60), 0xff, "there is no keyboard");
	check_equal(inb(0x40), 0xff, "there is no interval timer");
	check_equal(inb(0x21), 0xff, "there is no legacy interrupt controller");
	put_name();
	check_extras();
	checks_done();
}
