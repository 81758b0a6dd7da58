// SPDX-License-Identifier: MIT
/* cpu_state.c - the registers that a vCPU starts with, and how they look when it crashes */

#include "kvm/cpu_state.h"

#include "util/bits.h"
#include "util/error.h"
#include "util/log.h"

#include <errno.h>
#include <linux/kvm.h>
#include <string.h>
#include <sys/ioctl.h>

/* Model-specific registers, Intel SDM vol. 4 */
#define MSR_IA32_MISC_ENABLE     0x1a0
#define MSR_IA32_MTRR_DEF_TYPE   0x2ff
#define MISC_ENABLE_FAST_STRINGS (1u << 0)
#define MTRR_DEF_TYPE_ENABLE     (1u << 11)
#define MTRR_TYPE_WRITE_BACK     6u

/* Control register 0 */
#define CR0_PE 0x1u
#define CR0_ET 0x10u /* reads as 1 on every processor since the 486 */

#define EFLAGS_FIXED 0x2u

/* After INIT or reset */
#define RESET_RIP     0xfff0u
#define RESET_CS_BASE 0xffff0000u

int cpu_state_set_msrs(struct vcpu *vcpu, struct diag *diag)
{
	static const struct kvm_msr_entry entries[] = {
		{ .index = MSR_IA32_MISC_ENABLE, .data = MISC_ENABLE_FAST_STRINGS },
		{ .index = MSR_IA32_MTRR_DEF_TYPE,
			.data = MTRR_DEF_TYPE_ENABLE | MTRR_TYPE_WRITE_BACK },
	};
	union {
		struct kvm_msrs header;
		uint8_t space[sizeof(struct kvm_msrs) + sizeof(entries)];
	} msrs = { .header.nmsrs = ARRAY_SIZE(entries) };
	int n;

	memcpy(msrs.header.entries, entries, sizeof(entries));
	n = ioctl(vcpu->fd, KVM_SET_MSRS, &msrs);
	if (n == (int)ARRAY_SIZE(entries))
		return 0;
	if (n < 0)
		return diag_fail(
			diag, errno, "vCPU %u: KVM_SET_MSRS: %s", vcpu->id, error_text(errno));
	return diag_fail(diag, ENOTSUP, "vCPU %u: this KVM does not take MSR 0x%x", vcpu->id,
		entries[n].index);
}

int cpu_state_announce_apic(struct vcpu *vcpu, struct diag *diag)
{
	struct kvm_lapic_state lapic;

	/* Its state stays as it is; but whenever one is set, the map is made anew. */
	if (ioctl(vcpu->fd, KVM_GET_LAPIC, &lapic) || ioctl(vcpu->fd, KVM_SET_LAPIC, &lapic))
		return diag_fail(
			diag, errno, "vCPU %u: KVM_SET_LAPIC: %s", vcpu->id, error_text(errno));
	return 0;
}

/* What the processor keeps of a descriptor that it loads.  The limit is in bytes here, whatever the
 * granularity bit says.
 */
static struct kvm_segment segment_of(const struct vcpu_entry *entry, uint16_t selector)
{
	uint64_t d = entry->gdt[selector / sizeof(d)];
	uint32_t limit = (uint32_t)((d & 0xffff) | (d >> 32 & 0xf0000));
	bool pages = d >> 55 & 1;

	return (struct kvm_segment){
		.base = (d >> 16 & 0xffffff) | (d >> 32 & 0xff000000),
		.limit = pages ? limit << 12 | 0xfff : limit,
		.selector = selector,
		.type = d >> 40 & 0xf,
		.s = d >> 44 & 1,
		.dpl = d >> 45 & 3,
		.present = d >> 47 & 1,
		.avl = d >> 52 & 1,
		.l = d >> 53 & 1,
		.db = d >> 54 & 1,
		.g = pages,
	};
}

int vcpu_set_pvh_entry(struct vcpu *vcpu, const struct vcpu_entry *entry, struct diag *diag)
{
	struct kvm_regs regs = {
		.rip = entry->eip,
		.rbx = entry->ebx,
		.rsp = entry->esp,
		.rflags = EFLAGS_FIXED,
	};
	struct kvm_sregs sregs;

	if (ioctl(vcpu->fd, KVM_GET_SREGS, &sregs))
		return diag_fail(diag, errno, "KVM_GET_SREGS: %s", error_text(errno));
	sregs.cr0 = CR0_PE | CR0_ET;
	sregs.cr3 = 0;
	sregs.cr4 = 0;
	sregs.efer = 0;
	sregs.cs = segment_of(entry, 0x8);
	sregs.ds = sregs.es = sregs.fs = sregs.gs = sregs.ss = segment_of(entry, 0x10);
	sregs.tr = segment_of(entry, 0x18);
	sregs.ldt = (struct kvm_segment){ .type = 0x2, .unusable = 1 };
	memset(&sregs.gdt, 0, sizeof(sregs.gdt));
	sregs.gdt.base = entry->gdt_gpa;
	sregs.gdt.limit = entry->gdt_limit;
	/* No IDT: the ABI promises none, and there is nothing to say in one. */
	memset(&sregs.idt, 0, sizeof(sregs.idt));
	if (ioctl(vcpu->fd, KVM_SET_SREGS, &sregs))
		return diag_fail(diag, errno, "KVM_SET_SREGS: %s", error_text(errno));
	if (ioctl(vcpu->fd, KVM_SET_REGS, &regs))
		return diag_fail(diag, errno, "KVM_SET_REGS: %s", error_text(errno));
	return 0;
}

static void log_segment(const char *name, const struct kvm_segment *segment)
{
	log_error("  %s %04x base %016llx limit %08x type %x%s%s%s dpl %u%s", name,
		segment->selector, segment->base, segment->limit, segment->type,
		segment->s ? " code/data" : " system", segment->l ? " 64-bit" : "",
		segment->db ? " 32-bit" : "", segment->dpl, segment->unusable ? " unusable" : "");
}

void vcpu_log_registers(const struct vcpu *vcpu)
{
	struct kvm_regs r;
	struct kvm_sregs s;

	if (ioctl(vcpu->fd, KVM_GET_REGS, &r) || ioctl(vcpu->fd, KVM_GET_SREGS, &s)) {
		log_error("vCPU %u: its registers cannot be read: %s", vcpu->id, error_text(errno));
		return;
	}
	/* On AMD a triple fault leaves no defined state, and KVM resets the vCPU. */
	log_error("vCPU %u registers%s:", vcpu->id,
		r.rip == RESET_RIP && s.cs.base == RESET_CS_BASE
			? " (of a CPU just reset: what they were is lost)"
			: "");
	log_error("  rip %016llx rflags %016llx", r.rip, r.rflags);
	log_error("  rax %016llx rbx %016llx rcx %016llx rdx %016llx", r.rax, r.rbx, r.rcx, r.rdx);
	log_error("  rsi %016llx rdi %016llx rsp %016llx rbp %016llx", r.rsi, r.rdi, r.rsp, r.rbp);
	log_error("  r8  %016llx r9  %016llx r10 %016llx r11 %016llx", r.r8, r.r9, r.r10, r.r11);
	log_error("  r12 %016llx r13 %016llx r14 %016llx r15 %016llx", r.r12, r.r13, r.r14, r.r15);
	log_error("  cr0 %08llx cr2 %016llx cr3 %016llx cr4 %08llx efer %08llx", s.cr0, s.cr2,
		s.cr3, s.cr4, s.efer);
	log_segment("cs", &s.cs);
	log_segment("ds", &s.ds);
	log_segment("es", &s.es);
	log_segment("ss", &s.ss);
	log_segment("fs", &s.fs);
	log_segment("gs", &s.gs);
	log_segment("tr", &s.tr);
	log_error("  gdt %016llx limit %04x  idt %016llx limit %04x", s.gdt.base, s.gdt.limit,
		s.idt.base, s.idt.limit);
}
