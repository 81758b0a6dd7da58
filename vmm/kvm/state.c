// SPDX-License-Identifier: MIT
/* state.c - all that KVM keeps of a vCPU and of a VM, out and in again */

#include "kvm/state.h"

#include "util/bits.h"
#include "util/log.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Model-specific registers, Intel SDM vol. 4 */
#define MSR_IA32_TSC            0x10
#define MSR_IA32_MTRR_PHYSBASE0 0x200
#define N_MTRRS                 16 /* eight pairs */
#define MSR_IA32_MTRR_DEF_TYPE  0x2ff

#define MAX_MSRS 512

/* KVM lists what differs between hosts, and leaves these out. */
static const uint32_t mtrr_msrs[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d,
	0x26e, 0x26f, MSR_IA32_MTRR_DEF_TYPE };

#define N_EXTRA_MSRS (1 + N_MTRRS + ARRAY_SIZE(mtrr_msrs))

#define XSAVE_SIZE 4096 /* of struct kvm_xsave, without the extra that KVM_GET_XSAVE2 fills */
#define NESTED_SIZE \
	sizeof(struct kvm_nested_state) /* the head, which is all without a nested guest */

struct vcpu_state {
	struct kvm_mp_state mp_state;
	struct kvm_regs regs;
	struct kvm_sregs sregs;
	uint64_t xsave[XSAVE_SIZE / sizeof(uint64_t)];
	struct kvm_xcrs xcrs;
	struct kvm_debugregs debugregs;
	struct kvm_lapic_state lapic;
	struct kvm_vcpu_events events;
	uint64_t nested[NESTED_SIZE / sizeof(uint64_t)];
	bool has_nested;
	uint32_t n_msrs;
	struct kvm_msr_entry msr[MAX_MSRS];
};

union msr_list {
	struct kvm_msr_list head;
	uint8_t space[sizeof(struct kvm_msr_list) + MAX_MSRS * sizeof(uint32_t)];
};

union msrs {
	struct kvm_msrs head;
	uint8_t space[sizeof(struct kvm_msrs) + MAX_MSRS * sizeof(struct kvm_msr_entry)];
};

/* ---- model-specific registers ---- */

/* Out of two lists, the time stamp counter first: the timer's deadline is a value of it. */
static int list_msrs(const struct kvm *kvm, struct vcpu_state *state, struct diag *diag)
{
	union msr_list list = { .head.nmsrs = MAX_MSRS - N_EXTRA_MSRS };
	struct kvm_msr_entry *entry = state->msr;
	uint32_t n = 0;

	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &list))
		return diag_fail(diag, errno, "KVM_GET_MSR_INDEX_LIST: %s", strerror(errno));
	entry[n++].index = MSR_IA32_TSC;
	for (uint32_t i = 0; i < list.head.nmsrs; i++)
		if (list.head.indices[i] != MSR_IA32_TSC)
			entry[n++].index = list.head.indices[i];
	for (uint32_t i = 0; i < ARRAY_SIZE(mtrr_msrs); i++)
		entry[n++].index = mtrr_msrs[i];
	for (uint32_t i = 0; i < N_MTRRS; i++)
		entry[n++].index = MSR_IA32_MTRR_PHYSBASE0 + i;
	state->n_msrs = n;
	return 0;
}

/* One call for all that is left from `at` on: how many of them KVM did. */
static int do_msrs(const struct vcpu *vcpu, unsigned long request,
	const struct kvm_msr_entry *entry, uint32_t n, struct kvm_msr_entry *result)
{
	union msrs msrs = { .head.nmsrs = n };
	int done;

	memcpy(msrs.head.entries, entry, n * sizeof(*entry));
	done = ioctl(vcpu->fd, request, &msrs);
	if (done > 0 && result)
		memcpy(result, msrs.head.entries, (size_t)done * sizeof(*entry));
	return done;
}

/* What KVM lists and this vCPU has not, is left out. */
static int save_msrs(const struct vcpu *vcpu, struct vcpu_state *state, struct diag *diag)
{
	struct kvm_msr_entry *entry = state->msr;
	uint32_t n = state->n_msrs;

	for (uint32_t at = 0; at < n;) {
		int done = do_msrs(vcpu, KVM_GET_MSRS, entry + at, n - at, entry + at);

		if (done < 0)
			return diag_fail(diag, errno, "vCPU %u: KVM_GET_MSRS: %s", vcpu->id,
				strerror(errno));
		at += (uint32_t)done;
		if (at < n) {
			n--;
			memmove(entry + at, entry + at + 1, (n - at) * sizeof(*entry));
		}
	}
	state->n_msrs = n;
	return 0;
}

static bool msr_is(const struct vcpu *vcpu, const struct kvm_msr_entry *entry)
{
	struct kvm_msr_entry now;

	return do_msrs(vcpu, KVM_GET_MSRS, entry, 1, &now) == 1 && now.data == entry->data;
}

/* Some can be read and not be written; they have not changed either. */
static int load_msrs(const struct vcpu *vcpu, const struct vcpu_state *state, struct diag *diag)
{
	const struct kvm_msr_entry *entry = state->msr;
	uint32_t n = state->n_msrs;

	for (uint32_t at = 0; at < n; at++) {
		int done = do_msrs(vcpu, KVM_SET_MSRS, entry + at, n - at, NULL);

		if (done < 0)
			return diag_fail(diag, errno, "vCPU %u: KVM_SET_MSRS: %s", vcpu->id,
				strerror(errno));
		at += (uint32_t)done;
		if (at < n && !msr_is(vcpu, &entry[at]))
			return diag_fail(diag, EIO, "vCPU %u: KVM does not reset MSR 0x%x",
				vcpu->id, entry[at].index);
	}
	return 0;
}

/* ---- all of it, in the order that KVM wants ---- */

struct step {
	unsigned long request;
	const char *name;
	size_t offset;
};

#define STEP(request, member)                                            \
	{                                                                \
		(request), #request, offsetof(struct vcpu_state, member) \
	}

static int do_steps(const struct vcpu *vcpu, const struct step *step, size_t n,
	const struct vcpu_state *state, struct diag *diag)
{
	for (; n; n--, step++) {
		/* A processor without XSAVE has none, and then KVM does not take that. */
		if (step->request == KVM_SET_XCRS && !state->xcrs.nr_xcrs)
			continue;
		if (ioctl(vcpu->fd, step->request, (const uint8_t *)state + step->offset))
			return diag_fail(diag, errno, "vCPU %u: %s: %s", vcpu->id, step->name,
				strerror(errno));
	}
	return 0;
}

/* A host without nested virtualisation has no state of it. */
static bool save_nested(const struct vcpu *vcpu, struct vcpu_state *state)
{
	struct kvm_nested_state *nested = (struct kvm_nested_state *)state->nested;

	nested->size = NESTED_SIZE;
	return !ioctl(vcpu->fd, KVM_GET_NESTED_STATE, nested);
}

struct vcpu_state *vcpu_state_save(
	const struct vcpu *vcpu, const struct kvm *kvm, struct diag *diag)
{
	static const struct step steps[] = {
		STEP(KVM_GET_MP_STATE, mp_state),
		STEP(KVM_GET_REGS, regs),
		STEP(KVM_GET_SREGS, sregs),
		STEP(KVM_GET_XSAVE, xsave),
		STEP(KVM_GET_XCRS, xcrs),
		STEP(KVM_GET_DEBUGREGS, debugregs),
		STEP(KVM_GET_LAPIC, lapic),
		STEP(KVM_GET_VCPU_EVENTS, events),
	};
	struct vcpu_state *state = calloc(1, sizeof(*state));

	if (!state) {
		diag_fail(diag, ENOMEM, "out of memory");
		return NULL;
	}
	if (do_steps(vcpu, steps, ARRAY_SIZE(steps), state, diag) || list_msrs(kvm, state, diag) ||
		save_msrs(vcpu, state, diag)) {
		free(state);
		return NULL;
	}
	state->has_nested = save_nested(vcpu, state);
	state->msr[0].data = 0; /* the time stamp counter */
	return state;
}

void vcpu_state_free(struct vcpu_state *state)
{
	free(state);
}

/* The nested guest is left first: what follows is the outer one's.  To read MP_STATE has KVM take
 * an INIT or SIPI that is on its way, lest it come in the next life.
 */
int vcpu_state_load(const struct vcpu *vcpu, const struct vcpu_state *state, struct diag *diag)
{
	static const struct step before_msrs[] = {
		STEP(KVM_SET_MP_STATE, mp_state),
		STEP(KVM_SET_REGS, regs),
		STEP(KVM_SET_SREGS, sregs),
		STEP(KVM_SET_XSAVE, xsave),
		STEP(KVM_SET_XCRS, xcrs),
		STEP(KVM_SET_DEBUGREGS, debugregs),
		STEP(KVM_SET_LAPIC, lapic),
	};
	static const struct step after_msrs = STEP(KVM_SET_VCPU_EVENTS, events);
	struct kvm_mp_state now;
	int ret;

	if (ioctl(vcpu->fd, KVM_GET_MP_STATE, &now))
		return diag_fail(
			diag, errno, "vCPU %u: KVM_GET_MP_STATE: %s", vcpu->id, strerror(errno));
	if (state->has_nested && ioctl(vcpu->fd, KVM_SET_NESTED_STATE, state->nested))
		return diag_fail(diag, errno, "vCPU %u: KVM_SET_NESTED_STATE: %s", vcpu->id,
			strerror(errno));
	ret = do_steps(vcpu, before_msrs, ARRAY_SIZE(before_msrs), state, diag);
	if (!ret)
		ret = load_msrs(vcpu, state, diag);
	if (!ret)
		ret = do_steps(vcpu, &after_msrs, 1, state, diag);
	return ret;
}

int kvm_vm_reset_clock(const struct kvm_vm *vm, struct diag *diag)
{
	struct kvm_clock_data clock = { .clock = 0 };

	if (ioctl(vm->fd, KVM_SET_CLOCK, &clock))
		return diag_fail(diag, errno, "KVM_SET_CLOCK: %s", strerror(errno));
	return 0;
}
