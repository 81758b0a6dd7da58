// SPDX-License-Identifier: GPL-2.0 OR MIT
/* xen.c - all that libpvh knows of Xen's hypercalls
 *
 * By default a hypercall is the processor's own instruction, vmcall or vmmcall, as its vendor has
 * it. With PVH_XEN_HYPERCALL_PAGE it is a call into a page that Xen fills with that instruction:
 * the older way, which costs a page and an indirect call, and knows nothing of vendors.
 */

#include "pvh.h"
#include "pvh_xen.h"

#if defined(CONFIG_PVH) && defined(CONFIG_XEN_PVH)

enum { EAX, EBX, ECX, EDX, N_REGS };

#ifdef __x86_64__
#define ARGS_IN(a, b, c) "+D"(a), "+S"(b), "+d"(c)
#define CLOBBERS         "r8", "r9", "r10", "r11", "rcx", "memory"
#else
#define ARGS_IN(a, b, c) "+b"(a), "+c"(b), "+d"(c)
#define CLOBBERS         "esi", "edi", "memory"
#endif

#ifdef PVH_XEN_HYPERCALL_PAGE

static uint8_t hypercall_page[4096] __attribute__((aligned(4096)));

long pvh_xen_hypercall(uint32_t number, unsigned long a, unsigned long b, unsigned long c)
{
	long result;

	__asm__ volatile("call *%[stub]"
			 : "=&a"(result), ARGS_IN(a, b, c)
			 : [stub] "0"(hypercall_page + number * XEN_HYPERCALL_STUB_SIZE)
			 : CLOBBERS);
	return result;
}

static int hypercalls_init(uint32_t xen_base)
{
	uint64_t page = (uintptr_t)hypercall_page;
	uint32_t regs[N_REGS];

	pvh_cpuid(xen_base + XEN_CPUID_HYPERCALL, regs);
	if (!regs[EAX])
		return -PVH_E_XEN;
	__asm__ volatile("wrmsr"
			 :
			 : "c"(regs[EBX]), "a"((uint32_t)page), "d"((uint32_t)(page >> 32))
			 : "memory");
	return 0;
}

#else

/* Of AuthenticAMD and HygonGenuine: the first four letters, in ebx. */
#define AMD_EBX   0x68747541u
#define HYGON_EBX 0x6f677948u

static int use_vmmcall;

long pvh_xen_hypercall(uint32_t number, unsigned long a, unsigned long b, unsigned long c)
{
	long result;

	if (use_vmmcall)
		__asm__ volatile("vmmcall"
				 : "=a"(result), ARGS_IN(a, b, c)
				 : "0"((unsigned long)number)
				 : CLOBBERS);
	else
		__asm__ volatile("vmcall"
				 : "=a"(result), ARGS_IN(a, b, c)
				 : "0"((unsigned long)number)
				 : CLOBBERS);
	return result;
}

static int hypercalls_init(uint32_t xen_base)
{
	uint32_t regs[N_REGS];

	(void)xen_base;
	pvh_cpuid(0, regs);
	use_vmmcall = regs[EBX] == AMD_EBX || regs[EBX] == HYGON_EBX;
	return 0;
}

#endif

int pvh_xen_init(const struct pvh_info *info)
{
	return hypercalls_init(info->xen_base);
}

int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	struct xen_e820_entry entry;
	struct xen_memory_map map = {
		.nr_entries = *n,
		.buffer = (struct xen_e820_entry *)out,
	};
	long ret = pvh_xen_hypercall(
		XEN_HYPERCALL_MEMORY_OP, XENMEM_MEMORY_MAP, (unsigned long)&map, 0);

	if (ret || map.nr_entries > *n)
		return -PVH_E_XEN;
	*n = map.nr_entries;
	/* Xen's entries are the smaller ones: from the last to the first, none is overwritten
	 * unread. */
	for (uint32_t i = *n; i-- > 0;) {
		__builtin_memcpy(&entry, (char *)out + i * sizeof(entry), sizeof(entry));
		out[i] = (struct hvm_memmap_table_entry){ entry.addr, entry.size, entry.type, 0 };
	}
	return 0;
}

void pvh_xen_console_write(const char *text, uint32_t size)
{
	pvh_xen_hypercall(XEN_HYPERCALL_CONSOLE_IO, XEN_CONSOLEIO_WRITE, size, (unsigned long)text);
}

void pvh_xen_shutdown(uint32_t reason)
{
	pvh_xen_hypercall(XEN_HYPERCALL_SCHED_OP, XEN_SCHEDOP_SHUTDOWN, (unsigned long)&reason, 0);
}

#endif
