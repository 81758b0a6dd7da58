// SPDX-License-Identifier: GPL-2.0 OR MIT
/* platform.c - what the ABI leaves open, and kernels count on */

#include "check.h"

#define MSR_APIC_BASE 0x1bu
#define MSR_MTRR_CAP  0xfeu
#define MSR_MTRR_TYPE 0x2ffu

#define CPUID_APIC       (1u << 9)
#define CPUID_MTRR       (1u << 12)
#define CPUID_HYPERVISOR (1u << 31)

#define APIC_ON    (1u << 11)
#define APIC_BSP   (1u << 8)
#define APIC_X2    (1u << 10)
#define LAPIC      0xfee00000u
#define LAPIC_VER  0x30u
#define LAPIC_IRR  0x200u
#define LAPIC_ISR  0x100u
#define MTRR_ON    (1u << 11)
#define WRITE_BACK 6u

static enum verdict efer(void)
{
	uint64_t value;

	if (!read_msr(MSR_EFER, &value))
		return skip("the processor has no EFER");
	detail("is %llx", value);
	return value ? FAIL : PASS;
}

/* Without MTRRs there is nothing to be wrong. */
static enum verdict mtrr(void)
{
	uint64_t type;

	if (!(cpuid(1).edx & CPUID_MTRR))
		return skip("the processor has no MTRRs");
	if (!read_msr(MSR_MTRR_TYPE, &type))
		return fail("the processor has MTRRs, and no default type");
	detail("default type register is %llx", type);
	return (type & MTRR_ON) && (type & 0xff) == WRITE_BACK ? PASS : FAIL;
}

static enum verdict apic_base(void)
{
	uint64_t base;

	if (!(cpuid(1).edx & CPUID_APIC))
		return fail("the processor says that it has none, or that it is off");
	if (!read_msr(MSR_APIC_BASE, &base))
		return fail("its base cannot be read");
	detail("base register is %llx", base);
	return base == (LAPIC | APIC_ON | APIC_BSP) ? PASS : FAIL;
}

static uint32_t apic_read(uint32_t offset)
{
	return *(volatile uint32_t *)(LAPIC + offset);
}

/* In its place, and not in x2APIC mode. */
static const char *lacks_apic_registers(void)
{
	uint64_t base;

	if (!(cpuid(1).edx & CPUID_APIC))
		return "there is no local APIC";
	if (!read_msr(MSR_APIC_BASE, &base) || (base & ~0xfffull) != LAPIC ||
		(base & (APIC_ON | APIC_X2)) != APIC_ON)
		return "the local APIC is not where it usually is";
	return NULL;
}

/* An integrated APIC has version 0x1X, and a table of 4 to 8 local vectors. */
static enum verdict apic_version(void)
{
	uint32_t version = apic_read(LAPIC_VER);

	detail("version register is %x", version);
	return (version & 0xf0) == 0x10 && (version >> 16 & 0xff) >= 3 ? PASS : FAIL;
}

static enum verdict apic_quiet(void)
{
	for (uint32_t i = 0; i < 8; i++) {
		uint32_t irr = apic_read(LAPIC_IRR + 16 * i), isr = apic_read(LAPIC_ISR + 16 * i);

		if (irr | isr) {
			detail("vectors from %u: requested %x, in service %x", 32 * i, irr, isr);
			return FAIL;
		}
	}
	return PASS;
}

static enum verdict hypervisor_bit(void)
{
	return verdict(cpuid(1).ecx & CPUID_HYPERVISOR, "CPUID.1:ECX[31] is clear");
}

static enum verdict hypervisor_leaves(void)
{
	struct cpuid r = cpuid(0x40000000);

	detail("eax %x, ebx %x, ecx %x, edx %x", r.eax, r.ebx, r.ecx, r.edx);
	/* KVM once said 0 for "one leaf". */
	return r.ebx && (!r.eax || (r.eax >= 0x40000000 && r.eax < 0x40010000)) ? PASS : FAIL;
}

static const struct check rows[] = {
	{ "EFER: is 0", NULL, "kernels that switch paging on in 32-bit mode", NULL, efer },
	{ "MTRR: on, default type write-back", PVH_MTRR, "Linux drops RAM that is not write-back",
		NULL, mtrr },
	{ "local APIC: on, at 0xfee00000, of the boot processor", NULL,
		"Linux, FreeBSD and NetBSD start other processors and timers by it", NULL,
		apic_base },
	{ "local APIC: its version can be read", NULL, "Linux takes it for absent otherwise",
		lacks_apic_registers, apic_version },
	{ "local APIC: nothing is pending", NULL,
		"kernels that switch interrupts on before they know all vectors",
		lacks_apic_registers, apic_quiet },
	{ "CPUID: says that there is a hypervisor", NULL,
		"Linux looks for kvmclock and Xen only then", NULL, hypervisor_bit },
	{ "CPUID: leaf 0x40000000 names the hypervisor", NULL,
		"Linux and FreeBSD know Xen and KVM by it", NULL, hypervisor_leaves },
};

const struct checks platform_checks = CHECKS(rows);
