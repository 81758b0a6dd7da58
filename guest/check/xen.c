// SPDX-License-Identifier: GPL-2.0 OR MIT
/* xen.c - the hypercalls that pvh-check needs, without a hypercall page
 *
 * Called from 32-bit code: Xen takes the 32-bit ABI then.  Paging is off: pointers are physical.
 */

#include "check.h"

#include <pvh/xen.h>

static uint32_t base;
static bool is_amd;

/* The arguments of the call in progress, and what it returned. */
static struct {
	uint32_t number, a, b, c;
	int32_t result;
} call;

static void hypercall_now(uint32_t unused)
{
	int32_t result;
	uint32_t a = call.a, b = call.b, c = call.c;

	(void)unused;
	if (is_amd)
		__asm__ volatile("vmmcall"
				 : "=a"(result), "+b"(a), "+c"(b), "+d"(c)
				 : "0"(call.number)
				 : "memory");
	else
		__asm__ volatile("vmcall"
				 : "=a"(result), "+b"(a), "+c"(b), "+d"(c)
				 : "0"(call.number)
				 : "memory");
	call.result = result;
}

/* The result; -1 if the instruction is an exception. */
static int32_t hypercall(uint32_t number, uint32_t a, uint32_t b, uint32_t c)
{
	call.number = number;
	call.a = a;
	call.b = b;
	call.c = c;
	return try_call(hypercall_now, 0) ? -1 : call.result;
}

void xen_init(void)
{
	struct cpuid r = cpuid(0);

	/* AuthenticAMD, HygonGenuine */
	is_amd = r.ebx == 0x68747541 || r.ebx == 0x6f677948;
	for (uint32_t leaf = XEN_CPUID_FIRST; leaf <= XEN_CPUID_LAST; leaf += XEN_CPUID_STEP) {
		r = cpuid(leaf);
		if (r.ebx == XEN_CPUID_SIGNATURE_EBX && r.ecx == XEN_CPUID_SIGNATURE_ECX &&
			r.edx == XEN_CPUID_SIGNATURE_EDX && r.eax >= leaf + XEN_CPUID_HYPERCALL) {
			base = leaf;
			return;
		}
	}
}

bool on_xen(void)
{
	return base;
}

void xen_version(uint32_t *major, uint32_t *minor)
{
	uint32_t version = cpuid(base + 1).eax;

	*major = version >> 16;
	*minor = version & 0xffff;
}

void xen_console_write(const char *text, uint32_t size)
{
	hypercall(XEN_HYPERCALL_CONSOLE_IO, XEN_CONSOLEIO_WRITE, size, (uint32_t)text);
}

int xen_memory_map(struct hvm_memmap_table_entry *map, uint32_t n)
{
	static struct xen_e820_entry buffer[MAX_ENTRIES];
	struct xen_memory_map args = { n < MAX_ENTRIES ? n : MAX_ENTRIES, buffer };
	int32_t result = hypercall(XEN_HYPERCALL_MEMORY_OP, XENMEM_MEMORY_MAP, (uint32_t)&args, 0);

	if (result)
		return result > 0 ? -1 : result;
	for (uint32_t i = 0; i < args.nr_entries && i < n; i++)
		map[i] = (struct hvm_memmap_table_entry){ buffer[i].addr, buffer[i].size,
			buffer[i].type, 0 };
	return (int)(args.nr_entries < n ? args.nr_entries : n);
}

void xen_shutdown(uint32_t reason)
{
	hypercall(XEN_HYPERCALL_SCHED_OP, XEN_SCHEDOP_SHUTDOWN, (uint32_t)&reason, 0);
}
