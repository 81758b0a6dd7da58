// SPDX-License-Identifier: GPL-2.0 OR MIT
/* hello.c - the smallest useful guest: says where it is, and powers off */

#include <pvh/pvh.h>
#include <pvh/pvh_xen.h>

static void put_number(uint64_t n)
{
	char text[21], *digit = text + sizeof(text) - 1;

	*digit = '\0';
	do {
		*--digit = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	pvh_puts(digit);
}

static void put_fact(const char *what, uint64_t n, const char *unit)
{
	pvh_puts(what);
	put_number(n);
	pvh_puts(unit);
}

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* n / by, or the greatest number if that is more.  32-bit code has no 64-bit division of its own.
 */
static uint32_t divide(uint64_t n, uint32_t by)
{
	uint32_t low = (uint32_t)n, high = (uint32_t)(n >> 32);

	if (high >= by)
		return UINT32_MAX;
	__asm__("divl %2" : "+a"(low), "+d"(high) : "r"(by) : "cc");
	return low;
}

/* The pace of the time stamp counter in kHz, or 0: by Xen's leaf, by the leaf that VMware began, or
 * by the processor's own: the ratio (ebx / eax) to its crystal (ecx Hz).
 */
static uint32_t tsc_khz(const struct pvh_info *info)
{
	enum { EAX, EBX, ECX, EDX, N_REGS };
	uint32_t regs[N_REGS];

	if (info->guest == PVH_GUEST_XEN) {
		pvh_cpuid(info->xen_base + XEN_CPUID_TIME, regs);
		return regs[ECX];
	}
	if (info->guest == PVH_GUEST_KVM) {
		pvh_cpuid(0x40000000, regs);
		if (regs[EAX] >= 0x40000010 && regs[EAX] < 0x40010000) {
			pvh_cpuid(0x40000010, regs);
			if (regs[EAX])
				return regs[EAX];
		}
	}
	pvh_cpuid(0, regs);
	if (regs[EAX] < 0x15)
		return 0;
	pvh_cpuid(0x15, regs);
	return regs[EAX] ? divide((uint64_t)(regs[ECX] / 1000) * regs[EBX], regs[EAX]) : 0;
}

static void put_guest(const struct pvh_info *info)
{
	pvh_puts("hello from a guest of ");
	pvh_puts(info->guest == PVH_GUEST_XEN   ? "Xen"
		 : info->guest == PVH_GUEST_KVM ? "KVM"
						: "nobody known");
	put_fact(", start info version ", info->version, "\n");
}

static void put_memory(const struct pvh_info *info)
{
	uint64_t size = 0;

	for (uint32_t i = 0; i < info->n_regions; i++)
		if (info->regions[i].type == PVH_MEMMAP_RAM)
			size += info->regions[i].size;
	put_fact("memory ", size >> 10, " KiB in ");
	put_fact("", info->n_regions, " regions\n");
}

/* The command line lies in the guest's memory, where pvh_info_read() has seen its end. */
static void put_cmdline(const struct pvh_info *info)
{
	pvh_puts("command line ");
	pvh_puts(info->cmdline.addr ? pvh_phys(info->cmdline.addr, info->cmdline.size + 1)
				    : "(none)");
	pvh_puts("\n");
	for (uint32_t i = 0; i < info->n_modules; i++) {
		put_fact("module ", i, ": ");
		put_fact("", info->modules[i].data.size, " bytes\n");
	}
}

static void out(uint16_t port, uint16_t value, int size)
{
	if (size == 1)
		__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "Nd"(port));
	else
		__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

/* Without an interpreter of ACPI's language: the doors of the machines we know. */
static void power_off(const struct pvh_info *info)
{
#ifdef CONFIG_XEN_PVH
	if (info->guest == PVH_GUEST_XEN)
		pvh_xen_shutdown(XEN_SHUTDOWN_POWEROFF);
#endif
	(void)info;
	out(0x600, 0x34, 1);   /* Pronto: sleep control, soft-off */
	out(0x604, 0x2000, 2); /* QEMU pc, q35: PM1 control */
	out(0x64, 0xfe, 1);    /* the keyboard controller: a reset */
	/* QEMU microvm has none of these: a triple fault. */
	__asm__ volatile("lidt %0; ud2" : : "m"((const char[10]){ 0 }));
}

void pvh_main(const struct pvh_info *info)
{
	uint64_t cycles = now() - pvh_entry_tsc;
	uint32_t khz = tsc_khz(info);

	put_guest(info);
	put_memory(info);
	put_cmdline(info);
	put_fact("entered ", cycles, " cycles of the time stamp counter ago");
	if (khz)
		put_fact(", which is ", divide(cycles * 1000, khz), " us");
	pvh_puts("\n");
	power_off(info);
}
