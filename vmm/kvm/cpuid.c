// SPDX-License-Identifier: MIT
/* cpuid.c - what a vCPU is told about itself */

#include "kvm/cpu_state.h"
#include "util/bits.h"
#include "util/error.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

#define BIT(n) (1u << (n))

/* Leaf 1 */
#define ECX1_VMX          BIT(5)
#define ECX1_PDCM         BIT(15)
#define ECX1_X2APIC       BIT(21)
#define ECX1_TSC_DEADLINE BIT(24)
#define ECX1_OSXSAVE      BIT(27)
#define ECX1_HYPERVISOR   BIT(31)
#define EDX1_HTT          BIT(28)
/* Leaf 7 */
#define ECX7_OSPKE             BIT(4)
#define ECX7_WAITPKG           BIT(5)
#define EAX71_ARCH_PERFMON_EXT BIT(8)
/* Leaf 0x80000001 */
#define ECX81_CMP_LEGACY  BIT(1)
#define ECX81_SVM         BIT(2)
#define ECX81_PERFCTR_ALL (BIT(23) | BIT(24) | BIT(28)) /* core, northbridge, last level cache */
/* Leaves of their own */
#define LEAF_PERFMON     0xa
#define LEAF_PERFMON_EXT 0x23
#define LEAF_SVM         0x8000000a
#define LEAF_AMD_PERFMON 0x80000022
#define LEAF_NAME        0x80000002 /* and the next two */
#define LEAF_HYPERVISOR  0x40000000
#define LEAF_TIMING      0x40000010

#define APIC_TIMER_KHZ 1000000u /* KVM's counts nanoseconds: arch/x86/kvm/lapic.h */

static uint32_t with_field(uint32_t reg, unsigned int high, unsigned int low, uint32_t value)
{
	uint32_t mask = (uint32_t)(((uint64_t)1 << (high - low + 1)) - 1) << low;

	return (reg & ~mask) | (value << low & mask);
}

/* Bits of APIC id that number n cores. */
static unsigned int id_width(unsigned int n)
{
	unsigned int width = 0;

	while ((1u << width) < n)
		width++;
	return width;
}

static void patch_features(
	struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int n, bool has_tsc_deadline)
{
	entry->ebx = with_field(entry->ebx, 31, 24, id);
	entry->ebx = with_field(entry->ebx, 23, 16, n);
	entry->edx = n > 1 ? entry->edx | EDX1_HTT : entry->edx & ~EDX1_HTT;
	/* KVM_GET_SUPPORTED_CPUID leaves these to the VMM.  Without the hypervisor bit Linux looks
	 * for no hypervisor leaves and so finds no kvmclock.
	 */
	entry->ecx |= ECX1_HYPERVISOR | ECX1_X2APIC;
	if (has_tsc_deadline)
		entry->ecx |= ECX1_TSC_DEADLINE;
}

/* Leaves 4 (Intel) and 0x8000001d (AMD): levels 1 and 2 are a core's own, level 3 the package's. */
static void patch_cache(struct kvm_cpuid_entry2 *entry, unsigned int n)
{
	unsigned int level = entry->eax >> 5 & 7;
	uint32_t sharing = level >= 3 ? (1u << id_width(n)) - 1 : 0;

	if (!(entry->eax & 0x1f))
		return; /* no more caches */
	entry->eax = with_field(entry->eax, 25, 14, sharing);
	if (entry->function == 4)
		entry->eax = with_field(entry->eax, 31, 26, (1u << id_width(n)) - 1);
}

/* Leaves 0xb and 0x1f: subleaf 0 is the thread level, 1 the core level, then the end. */
static void patch_topology(struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int n)
{
	static const uint32_t level_type[] = { 1, 2 };
	uint32_t index = entry->index;

	entry->eax = index == 1 ? id_width(n) : 0;
	entry->ebx = index == 0 ? 1 : index == 1 ? n : 0;
	entry->ecx = index < ARRAY_SIZE(level_type) ? level_type[index] << 8 | index : index;
	entry->edx = id;
}

static void patch_amd_extended(struct kvm_cpuid_entry2 *entry, unsigned int id, unsigned int n)
{
	switch (entry->function) {
	case 0x80000001:
		entry->ecx = n > 1 ? entry->ecx | ECX81_CMP_LEGACY : entry->ecx & ~ECX81_CMP_LEGACY;
		break;
	case 0x80000008:
		entry->ecx = with_field(entry->ecx, 15, 12, id_width(n));
		entry->ecx = with_field(entry->ecx, 7, 0, n - 1);
		break;
	case 0x8000001e:
		entry->eax = id; /* extended APIC id */
		entry->ebx = with_field(entry->ebx, 15, 0, id);
		entry->ecx = 0; /* one node */
		break;
	default: break;
	}
}

bool cpu_state_is_amd(const struct kvm_cpuid2 *cpuid)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		const struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 0) /* "AuthenticAMD", "HygonGenuine" */
			return entry->ecx == 0x444d4163 || entry->ecx == 0x656e6975;
	}
	return false;
}

/* The host's table may hold only the first subleaf of a topology leaf, or those of its own shape:
 * replace them by exactly the three that patch_topology() fills.
 */
static void set_topology_leaf(struct kvm_cpuid2 *cpuid, uint32_t function, uint32_t capacity)
{
	uint32_t n = 0;
	bool present = false;

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		if (cpuid->entries[i].function == function)
			present = true;
		else
			cpuid->entries[n++] = cpuid->entries[i];
	}
	cpuid->nent = n;
	if (!present || n + 3 > capacity)
		return;
	for (uint32_t index = 0; index < 3; index++)
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
			.function = function,
			.index = index,
			.flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX,
		};
}

void cpu_state_patch_cpuid(
	struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int n_vcpus, bool has_tsc_deadline)
{
	bool amd = cpu_state_is_amd(cpuid);

	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		switch (entry->function) {
		case 1: patch_features(entry, id, n_vcpus, has_tsc_deadline); break;
		case 4:
		case 0x8000001d: patch_cache(entry, n_vcpus); break;
		case 0xb:
		case 0x1f: patch_topology(entry, id, n_vcpus); break;
		default:
			if (amd)
				patch_amd_extended(entry, id, n_vcpus);
			break;
		}
	}
}

static void clear_registers(struct kvm_cpuid_entry2 *entry)
{
	entry->eax = entry->ebx = entry->ecx = entry->edx = 0;
}

static void hide_nested(struct kvm_cpuid_entry2 *entry)
{
	switch (entry->function) {
	case 1: entry->ecx &= ~ECX1_VMX; break;
	case 0x80000001: entry->ecx &= ~ECX81_SVM; break;
	case LEAF_SVM: clear_registers(entry); break;
	default: break;
	}
}

static void hide_pmu(struct kvm_cpuid_entry2 *entry)
{
	switch (entry->function) {
	case 1: entry->ecx &= ~ECX1_PDCM; break;
	case 7:
		if (entry->index == 1)
			entry->eax &= ~EAX71_ARCH_PERFMON_EXT;
		break;
	case 0x80000001: entry->ecx &= ~ECX81_PERFCTR_ALL; break;
	case LEAF_PERFMON:
	case LEAF_PERFMON_EXT:
	case LEAF_AMD_PERFMON: clear_registers(entry); break;
	default: break;
	}
}

void cpu_state_limit_cpuid(struct kvm_cpuid2 *cpuid, const struct kvm_extras *extras)
{
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];

		if (entry->function == 7 && entry->index == 0)
			entry->ecx &= ~ECX7_WAITPKG;
		if (!extras->nested)
			hide_nested(entry);
		if (!extras->pmu)
			hide_pmu(entry);
	}
}

void cpu_state_name_cpu(struct kvm_cpuid2 *cpuid, const char *name)
{
	uint32_t part[CPU_NAME_SIZE / 16][4] = { { 0 } };

	memcpy(part, name, strnlen(name, CPU_NAME_SIZE - 1));
	for (uint32_t i = 0; i < cpuid->nent; i++) {
		struct kvm_cpuid_entry2 *entry = &cpuid->entries[i];
		uint32_t which = entry->function - LEAF_NAME;

		if (which >= ARRAY_SIZE(part))
			continue;
		entry->eax = part[which][0];
		entry->ebx = part[which][1];
		entry->ecx = part[which][2];
		entry->edx = part[which][3];
	}
}

void cpu_state_tell_rates(struct kvm_cpuid2 *cpuid, int tsc_khz)
{
	for (uint32_t i = 0; i < cpuid->nent && tsc_khz > 0; i++) {
		if (cpuid->entries[i].function != LEAF_HYPERVISOR)
			continue;
		cpuid->entries[i].eax = LEAF_TIMING;
		cpuid->entries[cpuid->nent++] = (struct kvm_cpuid_entry2){
			.function = LEAF_TIMING,
			.eax = (uint32_t)tsc_khz,
			.ebx = APIC_TIMER_KHZ,
		};
		return;
	}
}

/* ---- of another host ---- */

enum reg { EAX, EBX, ECX, EDX };

static uint32_t reg_of(const struct kvm_cpuid_entry2 *entry, enum reg reg)
{
	switch (reg) {
	case EAX: return entry->eax;
	case EBX: return entry->ebx;
	case ECX: return entry->ecx;
	default: return entry->edx;
	}
}

/* Where features are, a bit each, and those among them that are not the processor's to have: that
 * we say ourselves, or that follow what the guest has switched on.
 */
static const struct {
	uint32_t function, index;
	enum reg reg;
	uint32_t ours;
} features[] = {
	{ 1, 0, ECX, ECX1_HYPERVISOR | ECX1_X2APIC | ECX1_TSC_DEADLINE | ECX1_OSXSAVE },
	{ 1, 0, EDX, EDX1_HTT },
	{ 7, 0, EBX, 0 },
	{ 7, 0, ECX, ECX7_OSPKE },
	{ 7, 0, EDX, 0 },
	{ 7, 1, EAX, 0 },
	{ 7, 1, EDX, 0 },
	{ 7, 2, EDX, 0 },
	{ 0xd, 0, EAX, 0 },
	{ 0xd, 0, EDX, 0 },
	{ 0xd, 1, EAX, 0 },
	{ 0x80000001, 0, ECX, ECX81_CMP_LEGACY },
	{ 0x80000001, 0, EDX, 0 },
	{ 0x80000008, 0, EBX, 0 },
	{ LEAF_HYPERVISOR + 1, 0, EAX, 0 },
};

static const struct kvm_cpuid_entry2 *find_leaf(
	const struct kvm_cpuid_entry2 *entry, uint32_t n, uint32_t function, uint32_t index)
{
	static const struct kvm_cpuid_entry2 none;

	for (uint32_t i = 0; i < n; i++)
		if (entry[i].function == function &&
			(entry[i].index == index ||
				!(entry[i].flags & KVM_CPUID_FLAG_SIGNIFCANT_INDEX)))
			return &entry[i];
	return &none;
}

int cpu_state_check_cpuid(const struct kvm_cpuid_entry2 *entry, uint32_t n,
	const struct kvm_cpuid2 *supported, struct diag *diag)
{
	const struct kvm_cpuid_entry2 *its = find_leaf(entry, n, 0, 0);
	const struct kvm_cpuid_entry2 *here = find_leaf(supported->entries, supported->nent, 0, 0);

	if (its->ebx != here->ebx || its->ecx != here->ecx || its->edx != here->edx)
		return diag_fail(
			diag, ENOTSUP, "its processor is one of another maker than this host's");
	for (size_t i = 0; i < ARRAY_SIZE(features); i++) {
		uint32_t missing;

		its = find_leaf(entry, n, features[i].function, features[i].index);
		here = find_leaf(supported->entries, supported->nent, features[i].function,
			features[i].index);
		missing = reg_of(its, features[i].reg) & ~reg_of(here, features[i].reg) &
		          ~features[i].ours;
		if (missing)
			return diag_fail(diag, ENOTSUP,
				"its processor has features that this host's KVM does not offer: "
				"CPUID 0x%x.%u %s, bits 0x%x",
				features[i].function, features[i].index,
				(const char *[]){ "EAX", "EBX", "ECX", "EDX" }[features[i].reg],
				missing);
	}
	return 0;
}

/* ---- */

_Static_assert(
	sizeof(union cpuid_table) ==
		sizeof(struct kvm_cpuid2) + CPU_STATE_MAX_CPUID * sizeof(struct kvm_cpuid_entry2),
	"as many entries");

/* Room for what set_topology_leaf() and cpu_state_tell_rates() add. */
#define MOST_ADDED (CPU_STATE_MAX_CPUID - KVM_CPUID_MAX_ENTRIES)

void cpu_state_make_cpuid(union cpuid_table *table, const struct vcpu *vcpu, const struct kvm *kvm,
	unsigned int n_vcpus)
{
	uint32_t capacity = kvm->supported->nent + MOST_ADDED - 1;
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)table;

	memcpy(cpuid, kvm->supported,
		sizeof(*cpuid) + kvm->supported->nent * sizeof(struct kvm_cpuid_entry2));
	set_topology_leaf(cpuid, 0xb, capacity);
	set_topology_leaf(cpuid, 0x1f, capacity);
	cpu_state_patch_cpuid(cpuid, vcpu->id, n_vcpus, kvm->has_tsc_deadline);
	cpu_state_tell_rates(cpuid, ioctl(vcpu->fd, KVM_GET_TSC_KHZ));
}

int cpu_state_set_cpuid(const struct vcpu *vcpu, const union cpuid_table *table, struct diag *diag)
{
	if (ioctl(vcpu->fd, KVM_SET_CPUID2, table))
		return diag_fail(
			diag, errno, "vCPU %u: KVM_SET_CPUID2: %s", vcpu->id, error_text(errno));
	return 0;
}
