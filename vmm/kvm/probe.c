// SPDX-License-Identifier: MIT
/* probe.c - how this host's KVM runs a guest */

#include "kvm/probe.h"

#include "kvm/vcpu.h"
#include "util/bits.h"
#include "util/error.h"
#include "util/timeline.h"

#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <time.h>

#define PROBE_MEMORY   MIB(2)
#define PROBE_ENTRY    0x1000u
#define PROBE_RESERVED 0xfeffc000u
#define PROBE_FIRST    500u       /* turns: about 1 ms where a million a second is the pace */
#define PROBE_LAST     500000000u /* turns: more than any processor does in PROBE_LONG_NS */
#define PROBE_LONG_NS  10000000u  /* a round this long is measured well enough */
#define PROBE_GROWTH   4

/* ecx = turns; each turn is two instructions; then leave by a port, and again. */
static const uint8_t probe_code[] = {
	0xff, 0xc9, /* 1: dec %ecx */
	0x75, 0xfc, /*    jnz 1b */
	0xe6, 0x80, /*    out %al, $0x80 */
	0xf4,       /*    hlt */
};

static const uint64_t probe_gdt[] = {
	0, 0x00cf9b000000ffff, /* code: 4 GiB */
	0x00cf93000000ffff,    /* data: 4 GiB */
	0x00008b0000000067,    /* TSS */
};

static const struct vcpu_entry probe_entry = {
	.eip = PROBE_ENTRY,
	.gdt = probe_gdt, /* in the processor alone: the code loads no segment */
};

static const struct kvm_extras no_extras;

static int probe_round(struct vcpu *vcpu, uint32_t turns, uint64_t *ns, struct diag *diag)
{
	struct kvm_regs regs = { .rip = PROBE_ENTRY, .rcx = turns, .rflags = 2 };
	uint64_t start;
	int ret;

	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return diag_fail(diag, errno, "KVM_SET_REGS: %s", error_text(errno));
	start = timeline_now();
	do
		ret = ioctl(vcpu->fd, KVM_RUN, 0);
	while (ret < 0 && (errno == EINTR || errno == EAGAIN));
	*ns = timeline_now() - start;
	if (ret < 0)
		return diag_fail(diag, errno, "KVM_RUN: %s", error_text(errno));
	if (vcpu->run->exit_reason != KVM_EXIT_IO)
		return diag_fail(diag, EIO, "KVM_RUN: exit %u where port I/O was due",
			vcpu->run->exit_reason);
	return 0;
}

static int probe_speed(struct vcpu *vcpu, int64_t *speed, struct diag *diag)
{
	uint32_t turns = PROBE_FIRST;
	uint64_t ns = 0;

	for (;;) {
		int ret = probe_round(vcpu, turns, &ns, diag);

		if (ret)
			return ret;
		if (ns >= PROBE_LONG_NS || turns > PROBE_LAST / PROBE_GROWTH)
			break;
		turns *= PROBE_GROWTH;
	}
	*speed = (int64_t)(2.0 * turns * 1e9 / (double)(ns ? ns : 1));
	return 0;
}

static void probe_tsc(struct kvm_probe *probe, const struct kvm_vm *vm, const struct vcpu *vcpu)
{
	const struct timespec watch = { .tv_nsec = TSC_WATCH_MS * 1000000 };
	struct tsc_sample first;

	tsc_sample(&first);
	nanosleep(&watch, NULL);
	probe->tsc = tsc_check(tsc_khz_of_vcpu(vm, vcpu), &first, &probe->tsc_finding);
}

int kvm_probe(struct kvm_probe *probe, struct diag *diag)
{
	struct guest_mem mem;
	struct kvm kvm;
	struct kvm_vm vm;
	struct vcpu vcpu = { .fd = -1 };
	int ret = guest_mem_init(&mem, PROBE_MEMORY);

	if (ret)
		return diag_fail(diag, -ret, "out of memory");
	guest_mem_write(&mem, PROBE_ENTRY, probe_code, sizeof(probe_code));
	ret = kvm_init(&kvm, &no_extras, diag);
	if (ret)
		goto out_mem;
	ret = kvm_query_cpuid(&kvm, false, diag);
	if (ret)
		goto out_kvm;
	ret = kvm_vm_init(&vm, &kvm, &mem, 1, PROBE_RESERVED, diag);
	if (ret)
		goto out_kvm;
	ret = vcpu_create(&vcpu, &kvm, &vm, diag);
	if (!ret)
		ret = vcpu_set_up(&vcpu, &kvm, 1, diag);
	if (!ret)
		ret = vcpu_set_pvh_entry(&vcpu, &probe_entry, diag);
	if (!ret)
		ret = probe_speed(&vcpu, &probe->speed, diag);
	if (!ret)
		probe_tsc(probe, &vm, &vcpu);
	vcpu_fini(&vcpu);
	kvm_vm_fini(&vm);
out_kvm:
	kvm_fini(&kvm);
out_mem:
	guest_mem_fini(&mem);
	return ret;
}
