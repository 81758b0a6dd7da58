// SPDX-License-Identifier: GPL-2.0 OR MIT
/* cpu.c - defaults of the hooks to the processor, and the routines that compilers call */

#include "pvh.h"

#include <stddef.h>

#ifdef CONFIG_PVH

__attribute__((weak)) void *pvh_phys(uint64_t paddr, uint64_t size)
{
	const uint64_t end = (uint64_t)1 << 32;

	if (!paddr || paddr >= end || size > end - paddr)
		return NULL;
	return (void *)(uintptr_t)paddr;
}

__attribute__((weak)) void pvh_cpuid(uint32_t leaf, uint32_t regs[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(regs[0]), "=b"(regs[1]), "=c"(regs[2]), "=d"(regs[3])
			 : "0"(leaf), "2"(0));
}

__attribute__((weak)) _Noreturn void pvh_halt(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

void *memcpy(void *to, const void *from, size_t n);
void *memmove(void *to, const void *from, size_t n);
void *memset(void *to, int byte, size_t n);
int memcmp(const void *a, const void *b, size_t n);

__attribute__((weak)) void *memcpy(void *to, const void *from, size_t n)
{
	void *at = to;

	__asm__ volatile("rep movsb" : "+D"(at), "+S"(from), "+c"(n) : : "memory");
	return to;
}

__attribute__((weak)) void *memmove(void *to, const void *from, size_t n)
{
	uint8_t *at = to;
	const uint8_t *source = from;

	if ((uintptr_t)to - (uintptr_t)from >= n)
		return memcpy(to, from, n);
	while (n--)
		at[n] = source[n];
	return to;
}

__attribute__((weak)) void *memset(void *to, int byte, size_t n)
{
	void *at = to;

	__asm__ volatile("rep stosb" : "+D"(at), "+c"(n) : "a"(byte) : "memory");
	return to;
}

__attribute__((weak)) int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++)
		if (*x != *y)
			return *x - *y;
	return 0;
}

#endif /* CONFIG_PVH */
