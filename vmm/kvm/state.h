/* SPDX-License-Identifier: MIT */
/* state.h - all that KVM keeps of a vCPU and of a VM, out and in again
 *
 * Source: the kernel's Documentation/virt/kvm/api.rst.
 */
#ifndef KVM_STATE_H
#define KVM_STATE_H

#include "kvm/vcpu.h"
#include "state/state.h"

struct vcpu_state;

/* How it is kept in a file; what is there are the structs of KVM's interface, as they are. */
extern const struct state_table vcpu_state_table;

/* What the vCPU is now, on the heap; vcpu_state_free() it.  It is parked, or has no thread.  NULL
 * and diag.
 */
struct vcpu_state *vcpu_state_save(
	const struct vcpu *vcpu, const struct kvm *kvm, struct diag *diag);
void vcpu_state_free(struct vcpu_state *state);

/* Have the time stamp counters of n vCPUs, the first of which is the boot CPU's, go on from `tsc`
 * when they are loaded, as far apart as they were.  By `vcpu`, any of the machine's, is found out
 * what this host's is.
 */
void vcpu_states_set_tsc(
	struct vcpu_state *const *states, unsigned int n, const struct vcpu *vcpu, uint64_t tsc);
/* What it was when this was saved. */
uint64_t vcpu_state_tsc(const struct vcpu_state *state);

/* Make this vCPU what it was.  Parked, or without a thread.  -errno and diag. */
int vcpu_state_load(const struct vcpu *vcpu, const struct vcpu_state *state, struct diag *diag);

/* What people look at first. */
struct vcpu_registers {
	uint64_t rip, rsp, rflags, cr0, cr3, cr4, efer, tsc;
	bool runs; /* it neither is halted nor waits to be started */
};
void vcpu_state_look(const struct vcpu_state *state, struct vcpu_registers *registers);

/* For state_load(): one that is empty, or NULL; vcpu_state_free() it. */
struct vcpu_state *vcpu_state_new(void);

/* What this vCPU was told by CPUID belongs to what is kept of it: as one of n_vcpus that have it by
 * vcpu_set_up(), or, of a restored one, as `like` has it.
 */
void vcpu_state_set_cpuid(struct vcpu_state *state, const struct vcpu *vcpu, const struct kvm *kvm,
	unsigned int n_vcpus, const struct vcpu_state *like);

/* Whether this host's processor has all that one of another host was told that it has: 0, or
 * -ENOTSUP and diag.  After kvm_query_cpuid().
 */
int vcpu_state_check(const struct vcpu_state *state, const struct kvm *kvm, struct diag *diag);

/* What a new vCPU is to know before vcpu_state_load(): CPUID, and its time stamp counter's rate,
 * which is tsc_khz now. -ENOTSUP: this host's processor does not scale its counter to that; -errno;
 * and diag.
 */
int vcpu_state_set_up(
	const struct vcpu *vcpu, const struct vcpu_state *state, int tsc_khz, struct diag *diag);

/* The guests' clock of a VM (kvmclock), in nanoseconds.  No vCPU runs.  -errno and diag. */
int kvm_vm_get_clock(const struct kvm_vm *vm, uint64_t *ns, struct diag *diag);
int kvm_vm_set_clock(const struct kvm_vm *vm, uint64_t ns, struct diag *diag);

#endif
