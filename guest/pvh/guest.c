// SPDX-License-Identifier: GPL-2.0 OR MIT
/* guest.c - which hypervisor this is, by CPUID */

#include "pvh.h"

#include <pvh/xen.h>

#ifdef CONFIG_PVH

enum { EAX, EBX, ECX, EDX, N_REGS };

/* "KVMKVMKVM\0\0\0" */
#define KVM_SIGNATURE_EBX 0x4b4d564bu
#define KVM_SIGNATURE_ECX 0x564b4d56u
#define KVM_SIGNATURE_EDX 0x0000004du

/* Xen has at least the leaf with its MSR: what says less is not the Xen we could talk to. */
static int is_xen(uint32_t base, const uint32_t regs[N_REGS])
{
	return regs[EBX] == XEN_CPUID_SIGNATURE_EBX && regs[ECX] == XEN_CPUID_SIGNATURE_ECX &&
	       regs[EDX] == XEN_CPUID_SIGNATURE_EDX && regs[EAX] >= base + XEN_CPUID_HYPERCALL;
}

/* The last leaf says nothing here: KVM once left it 0. */
static int is_kvm(const uint32_t regs[N_REGS])
{
#ifdef CONFIG_KVM_GUEST_PVH
	return regs[EBX] == KVM_SIGNATURE_EBX && regs[ECX] == KVM_SIGNATURE_ECX &&
	       regs[EDX] == KVM_SIGNATURE_EDX;
#else
	(void)regs;
	return 0;
#endif
}

/* CPUID.1:ECX[31], "there is a hypervisor", is not asked: some leave it clear. */
enum pvh_guest pvh_guest_detect(uint32_t *xen_base)
{
	enum pvh_guest guest = PVH_GUEST_OTHER;
	uint32_t base;

	*xen_base = 0;
	for (base = XEN_CPUID_FIRST; base <= XEN_CPUID_LAST; base += XEN_CPUID_STEP) {
		uint32_t regs[N_REGS] = { 0 };

		pvh_cpuid(base, regs);
		if (is_xen(base, regs)) {
			*xen_base = base;
			return PVH_GUEST_XEN;
		}
		if (is_kvm(regs))
			guest = PVH_GUEST_KVM;
	}
	return guest;
}

#endif /* CONFIG_PVH */
