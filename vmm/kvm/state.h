/* SPDX-License-Identifier: MIT */
/* state.h - all that KVM keeps of a vCPU and of a VM, out and in again
 *
 * Source: the kernel's Documentation/virt/kvm/api.rst.
 */
#ifndef KVM_STATE_H
#define KVM_STATE_H

#include "kvm/vcpu.h"

struct vcpu_state;

/* What the vCPU is now, on the heap; vcpu_state_free() it.  It is parked, or has no thread.  NULL
 * and diag.
 */
struct vcpu_state *vcpu_state_save(
	const struct vcpu *vcpu, const struct kvm *kvm, struct diag *diag);
void vcpu_state_free(struct vcpu_state *state);

/* Make this vCPU what it was, its time stamp counter apart: that starts at 0.  Parked.  -errno and
 * diag.
 */
int vcpu_state_load(const struct vcpu *vcpu, const struct vcpu_state *state, struct diag *diag);

/* Have the guests' clock of a VM start at 0, as in a new one.  No vCPU runs.  -errno and diag. */
int kvm_vm_reset_clock(const struct kvm_vm *vm, struct diag *diag);

#endif
