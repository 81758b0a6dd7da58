/* SPDX-License-Identifier: MIT */
/* cpu_state.h - what a vCPU is told about itself, and the state it starts in */
#ifndef KVM_CPU_STATE_H
#define KVM_CPU_STATE_H

#include "kvm/vcpu.h"

struct kvm_cpuid2;
struct kvm_cpuid_entry2;

/* What one vCPU is told: a struct kvm_cpuid2 with room for as many entries. */
#define CPU_STATE_MAX_CPUID (KVM_CPUID_MAX_ENTRIES + 7)
union cpuid_table {
	uint64_t align;
	uint8_t space[8 + CPU_STATE_MAX_CPUID * 40];
};

/* What the host supports, with this vCPU's APIC id and a topology of one package whose n_vcpus
 * cores have one thread each.  Sources: Intel SDM vol. 2 CPUID; AMD APM vol. 3 appendix E; the
 * kernel's Documentation/virt/kvm/x86/cpuid.rst.
 */
void cpu_state_make_cpuid(union cpuid_table *table, const struct vcpu *vcpu, const struct kvm *kvm,
	unsigned int n_vcpus);

/* Tell it.  -errno and diag. */
int cpu_state_set_cpuid(const struct vcpu *vcpu, const union cpuid_table *table, struct diag *diag);

/* The pure half of the above, for tests: patch `cpuid` for APIC id `id` of n_vcpus. */
void cpu_state_patch_cpuid(
	struct kvm_cpuid2 *cpuid, unsigned int id, unsigned int n_vcpus, bool has_tsc_deadline);

/* Whether the processor is AMD's, or one like it. */
bool cpu_state_is_amd(const struct kvm_cpuid2 *cpuid);

/* Leave out of what KVM offers what a guest gets only if it is asked for, and WAITPKG, by which a
 * guest would choose how deeply the host's processor sleeps.
 */
void cpu_state_limit_cpuid(struct kvm_cpuid2 *cpuid, const struct kvm_extras *extras);

/* Name the processor, which KVM leaves without a name: CPUID's leaves 0x80000002 to 4. */
#define CPU_NAME_SIZE 48 /* with a NUL, before which it is cut */
void cpu_state_name_cpu(struct kvm_cpuid2 *cpuid, const char *name);

/* Add a leaf with the rates of the TSC and of the local APIC's timer, unless KVM does not tell the
 * first (tsc_khz <= 0).  VMware defined it, other monitors have it; FreeBSD asks there, as it has
 * nothing to measure by: there is no PIT.  Needs room for one entry more.
 */
void cpu_state_tell_rates(struct kvm_cpuid2 *cpuid, int tsc_khz);

/* Whether a vCPU that was told this could be told it by this host: of the same maker, and without a
 * feature that KVM does not offer here.  0, or -ENOTSUP and diag.
 */
int cpu_state_check_cpuid(const struct kvm_cpuid_entry2 *entry, uint32_t n,
	const struct kvm_cpuid2 *supported, struct diag *diag);

/* What firmware would have set: memory write-back by default, fast string operations on. */
int cpu_state_set_msrs(struct vcpu *vcpu, struct diag *diag);

/* Have KVM learn of this vCPU's local APIC.  The map by which KVM delivers interrupts is made as a
 * vCPU is created, without that vCPU, and anew when some APIC changes.  A guest that starts the
 * others while its own APIC is software-disabled, as reset leaves it, changes none: the vCPU
 * created last would miss INIT and SIPI.  -errno and diag.
 */
int cpu_state_announce_apic(struct vcpu *vcpu, struct diag *diag);

#endif
