// SPDX-License-Identifier: MIT
/* state.c - all that KVM keeps of a vCPU and of a VM, out and in again */

#include "kvm/state.h"

#include "kvm/cpu_state.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

/* Model-specific registers, Intel SDM vol. 4 */
#define MSR_IA32_TSC            0x10
#define MSR_IA32_TSC_DEADLINE   0x6e0
#define MSR_IA32_MTRR_PHYSBASE0 0x200
#define N_MTRRS                 16 /* eight pairs */
#define MSR_IA32_MTRR_DEF_TYPE  0x2ff

#define MAX_MSRS 512

/* Of a TSS' type.  AMD's processors do not tell it, so KVM says of any that it is; but they do not
 * mind, and QEMU's emulation of one takes a busy TSS for none, and lets no program do what it may
 * by its I/O map.
 */
#define TSS_BUSY 2u

/* KVM lists what differs between hosts, and leaves these out. */
static const uint32_t mtrr_msrs[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c, 0x26d,
	0x26e, 0x26f, MSR_IA32_MTRR_DEF_TYPE };

#define N_EXTRA_MSRS (2 + N_MTRRS + ARRAY_SIZE(mtrr_msrs))

/* What KVM takes a rate of the time stamp counter for the same within, unless the operator has set
 * that (kvm.tsc_tolerance_ppm).
 */
#define SAME_RATE_PPM 250

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
	uint32_t n_msrs, n_cpuid;
	uint32_t tsc_khz;
	/* What KVM adds to the host's counter.  It is one number for all vCPUs of most machines,
	 * and by it they stay as they were to one another.
	 */
	uint64_t tsc_offset;
	bool has_tsc_offset;
	/* Last, as of their room little is used, and so little is touched: but for the first, which
	 * is the time stamp counter, they are not set before they are counted.
	 */
	struct kvm_msr_entry msr[MAX_MSRS];
	struct kvm_cpuid_entry2 cpuid[CPU_STATE_MAX_CPUID];
};

static const struct state_field vcpu_fields[] = {
	STATE_BLOB(struct vcpu_state, mp_state, 1),
	STATE_BLOB(struct vcpu_state, regs, 1),
	STATE_BLOB(struct vcpu_state, sregs, 1),
	STATE_BLOB(struct vcpu_state, xsave, 1),
	STATE_BLOB(struct vcpu_state, xcrs, 1),
	STATE_BLOB(struct vcpu_state, debugregs, 1),
	STATE_BLOB(struct vcpu_state, lapic, 1),
	STATE_BLOB(struct vcpu_state, events, 1),
	STATE_BLOB(struct vcpu_state, nested, 1),
	STATE_BOOL(struct vcpu_state, has_nested, 1),
	STATE_LIST(struct vcpu_state, msr, n_msrs, 1),
	STATE_LIST(struct vcpu_state, cpuid, n_cpuid, 1),
	STATE_FIELD(struct vcpu_state, tsc_khz, 1),
	STATE_FIELD(struct vcpu_state, tsc_offset, 1),
	STATE_BOOL(struct vcpu_state, has_tsc_offset, 1),
	STATE_END,
};

const struct state_table vcpu_state_table = { "vcpu", 1, vcpu_fields };

union msr_list {
	struct kvm_msr_list head;
	uint8_t space[sizeof(struct kvm_msr_list) + MAX_MSRS * sizeof(uint32_t)];
};

union msrs {
	struct kvm_msrs head;
	uint8_t space[sizeof(struct kvm_msrs) + MAX_MSRS * sizeof(struct kvm_msr_entry)];
};

/* ---- model-specific registers ---- */

/* Out of two lists, the time stamp counter first and the timer's deadline, which is a value of it,
 * last.
 */
static int list_msrs(const struct kvm *kvm, struct vcpu_state *state, struct diag *diag)
{
	union msr_list list = { .head.nmsrs = MAX_MSRS - N_EXTRA_MSRS };
	struct kvm_msr_entry *entry = state->msr;
	uint32_t n = 0;

	if (ioctl(kvm->fd, KVM_GET_MSR_INDEX_LIST, &list))
		return diag_fail(diag, errno, "KVM_GET_MSR_INDEX_LIST: %s", error_text(errno));
	entry[n++] = (struct kvm_msr_entry){ .index = MSR_IA32_TSC };
	for (uint32_t i = 0; i < list.head.nmsrs; i++)
		if (list.head.indices[i] != MSR_IA32_TSC &&
			list.head.indices[i] != MSR_IA32_TSC_DEADLINE)
			entry[n++] = (struct kvm_msr_entry){ .index = list.head.indices[i] };
	for (uint32_t i = 0; i < ARRAY_SIZE(mtrr_msrs); i++)
		entry[n++] = (struct kvm_msr_entry){ .index = mtrr_msrs[i] };
	for (uint32_t i = 0; i < N_MTRRS; i++)
		entry[n++] = (struct kvm_msr_entry){ .index = MSR_IA32_MTRR_PHYSBASE0 + i };
	entry[n++] = (struct kvm_msr_entry){ .index = MSR_IA32_TSC_DEADLINE };
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
				error_text(errno));
		at += (uint32_t)done;
		if (at < n) {
			n--;
			memmove(entry + at, entry + at + 1, (n - at) * sizeof(*entry));
		}
	}
	state->n_msrs = n;
	return 0;
}

/* Some can be read and not be written; they have not changed either.  Others are not there, in one
 * KVM as zeroes (those of a PMU that the guest has not, until Linux 6.1), in another not at all.
 */
static bool msr_may_stay(const struct vcpu *vcpu, const struct kvm_msr_entry *entry)
{
	struct kvm_msr_entry now;
	int n = do_msrs(vcpu, KVM_GET_MSRS, entry, 1, &now);

	return n == 1 ? now.data == entry->data : !n && !entry->data;
}

/* From entry `at` on. */
static int load_msrs(
	const struct vcpu *vcpu, const struct vcpu_state *state, uint32_t at, struct diag *diag)
{
	const struct kvm_msr_entry *entry = state->msr;

	for (uint32_t n = state->n_msrs; at < n; at++) {
		int done = do_msrs(vcpu, KVM_SET_MSRS, entry + at, n - at, NULL);

		if (done < 0)
			return diag_fail(diag, errno, "vCPU %u: KVM_SET_MSRS: %s", vcpu->id,
				error_text(errno));
		at += (uint32_t)done;
		if (at < n && !msr_may_stay(vcpu, &entry[at]))
			return diag_fail(diag, EIO, "vCPU %u: KVM does not take MSR 0x%x", vcpu->id,
				entry[at].index);
	}
	return 0;
}

/* ---- the time stamp counter ---- */

static int tsc_offset(const struct vcpu *vcpu, unsigned long request, uint64_t *offset)
{
	struct kvm_device_attr attr = {
		.group = KVM_VCPU_TSC_CTRL,
		.attr = KVM_VCPU_TSC_OFFSET,
		.addr = (uintptr_t)offset,
	};

	return ioctl(vcpu->fd, request, &attr) ? -errno : 0;
}

static void save_tsc(const struct vcpu *vcpu, struct vcpu_state *state)
{
	int khz = ioctl(vcpu->fd, KVM_GET_TSC_KHZ);

	state->tsc_khz = khz > 0 ? (uint32_t)khz : 0;
	state->has_tsc_offset = !tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &state->tsc_offset);
}

uint64_t vcpu_state_tsc(const struct vcpu_state *state)
{
	return state->msr[0].data;
}

void vcpu_state_look(const struct vcpu_state *state, struct vcpu_registers *registers)
{
	*registers = (struct vcpu_registers){
		.rip = state->regs.rip,
		.rsp = state->regs.rsp,
		.rflags = state->regs.rflags,
		.cr0 = state->sregs.cr0,
		.cr3 = state->sregs.cr3,
		.cr4 = state->sregs.cr4,
		.efer = state->sregs.efer,
		.tsc = vcpu_state_tsc(state),
		.runs = state->mp_state.mp_state == KVM_MP_STATE_RUNNABLE,
	};
}

/* To write the counter itself is no sure way: KVM takes a value that is near the one it would have
 * now for a wish that all vCPUs agree, and has it so.  What is added to the host's counter is a
 * plain number.
 */
void vcpu_states_set_tsc(
	struct vcpu_state *const *states, unsigned int n, const struct vcpu *vcpu, uint64_t tsc)
{
	struct kvm_msr_entry now = { .index = MSR_IA32_TSC };
	uint64_t offset, before = states[0]->tsc_offset;
	bool has_offset = !tsc_offset(vcpu, KVM_GET_DEVICE_ATTR, &offset) &&
	                  do_msrs(vcpu, KVM_GET_MSRS, &now, 1, &now) == 1;

	for (unsigned int i = 0; i < n; i++) {
		states[i]->msr[0].data = tsc;
		states[i]->has_tsc_offset &= has_offset;
		states[i]->tsc_offset += offset + tsc - now.data - before;
	}
}

static int load_tsc(const struct vcpu *vcpu, const struct vcpu_state *state, struct diag *diag)
{
	uint64_t offset = state->tsc_offset;
	int ret = tsc_offset(vcpu, KVM_SET_DEVICE_ATTR, &offset);

	return ret ? diag_fail(diag, -ret, "vCPU %u: KVM_SET_DEVICE_ATTR: %s", vcpu->id,
			     error_text(-ret))
	           : 0;
}

/* ---- CPUID ---- */

/* What it was told is reckoned once more: what KVM says of it is not what it was, with some. */
void vcpu_state_set_cpuid(struct vcpu_state *state, const struct vcpu *vcpu, const struct kvm *kvm,
	unsigned int n_vcpus, const struct vcpu_state *like)
{
	union cpuid_table table;
	const struct kvm_cpuid2 *cpuid = (const struct kvm_cpuid2 *)&table;

	state->n_cpuid = like ? like->n_cpuid : 0;
	if (like) {
		memcpy(state->cpuid, like->cpuid, like->n_cpuid * sizeof(*state->cpuid));
		return;
	}
	cpu_state_make_cpuid(&table, vcpu, kvm, n_vcpus);
	state->n_cpuid = cpuid->nent;
	memcpy(state->cpuid, cpuid->entries, cpuid->nent * sizeof(*state->cpuid));
}

int vcpu_state_check(const struct vcpu_state *state, const struct kvm *kvm, struct diag *diag)
{
	return cpu_state_check_cpuid(state->cpuid, state->n_cpuid, kvm->supported, diag);
}

static int set_tsc_rate(const struct vcpu *vcpu, int now, uint32_t khz, struct diag *diag)
{
	uint64_t off = now > (int)khz ? (uint64_t)now - khz : (uint64_t)khz - (uint64_t)now;

	if (!khz || now <= 0 || off * 1000000 / khz <= SAME_RATE_PPM)
		return 0;
	if (!ioctl(vcpu->fd, KVM_SET_TSC_KHZ, (unsigned long)khz))
		return 0;
	return diag_fail(diag, ENOTSUP,
		"its time stamp counter runs at %u kHz, this host's at %d, and the host's KVM does "
		"not scale it (%s)",
		khz, now, error_text(errno));
}

int vcpu_state_set_up(
	const struct vcpu *vcpu, const struct vcpu_state *state, int tsc_khz, struct diag *diag)
{
	union cpuid_table table;
	struct kvm_cpuid2 *cpuid = (struct kvm_cpuid2 *)&table;
	int ret;

	cpuid->nent = state->n_cpuid;
	memcpy(cpuid->entries, state->cpuid, state->n_cpuid * sizeof(*state->cpuid));
	ret = cpu_state_set_cpuid(vcpu, &table, diag);
	return ret ? ret : set_tsc_rate(vcpu, tsc_khz, state->tsc_khz, diag);
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
				error_text(errno));
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
	struct vcpu_state *state = vcpu_state_new();

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
	save_tsc(vcpu, state);
	if (cpu_state_is_amd(kvm->supported))
		state->sregs.tr.type &= (uint8_t)~TSS_BUSY;
	return state;
}

struct vcpu_state *vcpu_state_new(void)
{
	struct vcpu_state *state = malloc(sizeof(*state));

	if (state)
		memset(state, 0, offsetof(struct vcpu_state, msr[1]));
	return state;
}

void vcpu_state_free(struct vcpu_state *state)
{
	free(state);
}

/* The nested guest is left first: what follows is the outer one's.  To read MP_STATE has KVM take
 * an INIT or SIPI that is on its way, lest it come in the next life; to one without a thread
 * nothing was sent.  (Each call for a vCPU costs some microseconds where the host is a virtual
 * machine.)
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

	if (vcpu->started && ioctl(vcpu->fd, KVM_GET_MP_STATE, &now))
		return diag_fail(
			diag, errno, "vCPU %u: KVM_GET_MP_STATE: %s", vcpu->id, error_text(errno));
	if (state->has_nested && ioctl(vcpu->fd, KVM_SET_NESTED_STATE, state->nested))
		return diag_fail(diag, errno, "vCPU %u: KVM_SET_NESTED_STATE: %s", vcpu->id,
			error_text(errno));
	ret = do_steps(vcpu, before_msrs, ARRAY_SIZE(before_msrs), state, diag);
	if (!ret && state->has_tsc_offset)
		ret = load_tsc(vcpu, state, diag);
	if (!ret)
		ret = load_msrs(vcpu, state, state->has_tsc_offset, diag);
	if (!ret)
		ret = do_steps(vcpu, &after_msrs, 1, state, diag);
	/* It stood still meanwhile, if it has run before: vcpu.c has more of this. */
	if (!ret)
		ioctl(vcpu->fd, KVM_KVMCLOCK_CTRL, 0);
	return ret;
}

int kvm_vm_get_clock(const struct kvm_vm *vm, uint64_t *ns, struct diag *diag)
{
	struct kvm_clock_data clock;

	if (ioctl(vm->fd, KVM_GET_CLOCK, &clock))
		return diag_fail(diag, errno, "KVM_GET_CLOCK: %s", error_text(errno));
	*ns = clock.clock;
	return 0;
}

int kvm_vm_set_clock(const struct kvm_vm *vm, uint64_t ns, struct diag *diag)
{
	struct kvm_clock_data clock = { .clock = ns };

	if (ioctl(vm->fd, KVM_SET_CLOCK, &clock))
		return diag_fail(diag, errno, "KVM_SET_CLOCK: %s", error_text(errno));
	return 0;
}
