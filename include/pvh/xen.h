/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* xen.h - the few facts of Xen's guest ABI that a PVH kernel needs
 *
 * Sources: Xen's public headers arch-x86/cpuid.h, xen.h, memory.h, sched.h; docs/misc/pvh.pandoc.
 * A hypercall takes its number in eax and its arguments in ebx, ecx, edx, esi, edi (32-bit code) or
 * rdi, rsi, rdx, r10, r8 (64-bit code); pointers are linear addresses.  Failure is a negative
 * errno.
 */
#ifndef PVH_XEN_H
#define PVH_XEN_H

#include <stdint.h>

/* Where Xen's CPUID leaves may start: FIRST, FIRST + STEP, ... up to LAST.  At base, ebx:ecx:edx
 * hold the signature and eax the last leaf, which is base + 2 or more.
 */
#define XEN_CPUID_FIRST         0x40000000u
#define XEN_CPUID_LAST          0x4000ff00u
#define XEN_CPUID_STEP          0x100u
#define XEN_CPUID_SIGNATURE_EBX 0x566e6558u /* "XenV" */
#define XEN_CPUID_SIGNATURE_ECX 0x65584d4du /* "MMXe" */
#define XEN_CPUID_SIGNATURE_EDX 0x4d4d566eu /* "nVMM" */
#define XEN_CPUID_HYPERCALL     2u          /* base + 2: eax pages, ebx the MSR that fills one */
#define XEN_CPUID_TIME          3u          /* base + 3: ecx the guest's TSC in kHz */

/* Each hypercall has so many bytes of the hypercall page. */
#define XEN_HYPERCALL_STUB_SIZE 32u

enum {
	XEN_HYPERCALL_MEMORY_OP = 12,
	XEN_HYPERCALL_CONSOLE_IO = 18,
	XEN_HYPERCALL_SCHED_OP = 29,
};

enum { XENMEM_MEMORY_MAP = 9 };
enum { XEN_CONSOLEIO_WRITE = 0 };
enum { XEN_SCHEDOP_SHUTDOWN = 2 };

enum {
	XEN_SHUTDOWN_POWEROFF = 0,
	XEN_SHUTDOWN_REBOOT = 1,
	XEN_SHUTDOWN_CRASH = 3,
};

/* Flags of the start info. */
#define XEN_SIF_PRIVILEGED (1u << 0)
#define XEN_SIF_INITDOMAIN (1u << 1)

/* Argument of XENMEM_memory_map.  In: room in the buffer; out: entries stored.  More than fit are
 * left out without a word.
 */
struct xen_memory_map {
	uint32_t nr_entries;
	struct xen_e820_entry *buffer;
};

/* 20 bytes: not the 24 of the start info's table. */
struct xen_e820_entry {
	uint64_t addr;
	uint64_t size;
	uint32_t type; /* PVH_MEMMAP_* */
} __attribute__((packed));

_Static_assert(sizeof(struct xen_e820_entry) == 20, "e820 entry");
_Static_assert(sizeof(struct xen_memory_map) == 2 * sizeof(void *), "memory map");

#endif
