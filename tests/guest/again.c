// SPDX-License-Identifier: MIT
/* again.c - say all that a reset brings back, change it, reset; after a byte of input q, power off
 *
 * Every life of it is to say the same.  With more CPUs than one, the others are started and left
 * running.
 */

#include "guest.h"

#define TRAMPOLINE  0x8000u
#define N_STARTED   0x7000u
#define RAM_START   0x200000u
#define RAM_END     0x2000000u /* of 32 MiB */
#define PAGE        4096u
#define SELF_VECTOR 0x51u

#define MSR_APIC_BASE     0x1bu
#define MSR_TSC           0x10u
#define MSR_PAT           0x277u
#define MSR_MTRR_FIRST    0x200u /* of eight pairs */
#define MSR_MTRR_16K      0x259u /* from 640 KiB on */
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MSR_KVM_CLOCK     0x4b564d01u
#define KVM_CLOCK_PAGE    0x1f00000u

/* Real mode: count and stay. */
static const uint8_t trampoline[] = {
	0xfa,                               /* cli */
	0x31, 0xc0,                         /* xorw %ax, %ax */
	0x8e, 0xd8,                         /* movw %ax, %ds */
	0xf0, 0xff, 0x06, N_STARTED & 0xff, /* lock incw N_STARTED */
	N_STARTED >> 8, 0xeb, 0xfe,         /* jmp to itself */
};

static uint32_t data = 0x600d; /* of the image */

static void say(const char *name, uint64_t value)
{
	put(" ");
	put(name);
	put("=");
	put_hex(value);
}

static bool has_kvm_clock(void)
{
	return cpuid(0x40000000, 0).ebx == 0x4b4d564b && cpuid(0x40000001, 0).eax & 8;
}

static void say_memory(void)
{
	uint32_t n_dirty = 0;

	for (uint32_t at = RAM_START; at < RAM_END; at += PAGE)
		n_dirty += read32(at) || read32(at + PAGE - 4);
	for (uint32_t at = PAGE; at < 0x80000; at += PAGE)
		n_dirty += read32(at + 8) != 0;
	say("dirty", n_dirty);
	say("data", data);
}

static void say_cpu(void)
{
	uint32_t dr0, dr7;

	__asm__ volatile("movl %%dr0, %0" : "=r"(dr0));
	__asm__ volatile("movl %%dr7, %0" : "=r"(dr7));
	say("cr0", entry_state.cr0);
	say("cr4", entry_state.cr4);
	say("ebx", entry_state.ebx);
	say("esi", entry_state.esi);
	say("flags", entry_state.eflags);
	say("dr0", dr0);
	say("dr7", dr7);
	say("base", read_msr(MSR_APIC_BASE));
	say("pat", read_msr(MSR_PAT));
	say("mtrr", read_msr(MSR_MTRR_DEF_TYPE));
	say("mtrr_16k", read_msr(MSR_MTRR_16K));
	say("mtrr_first", read_msr(MSR_MTRR_FIRST));
	say("young", read_msr(MSR_TSC) >> 48 == 0);
	if (has_kvm_clock())
		say("clock", read_msr(MSR_KVM_CLOCK));
}

static void say_devices(void)
{
	say("svr", read32(LAPIC + 0xf0));
	say("tpr", read32(LAPIC + 0x80));
	say("timer", read32(LAPIC + 0x320));
	say("count", read32(LAPIC + 0x380));
	say("irr", read32(LAPIC + 0x220));
	say("select", read32(IOAPIC));
	write32(IOAPIC, 0x10 + 2 * SERIAL_GSI);
	say("route", read32(IOAPIC + 0x10));
	say("scratch", inb(SERIAL + 7));
	say("ier", inb(SERIAL + 1));
	say("lcr", inb(SERIAL + 3));
	say("mcr", inb(SERIAL + 4));
	say("events", inb(PM_EVENTS));
}

static void start_others(void)
{
	uint32_t n_others = cpuid(1, 0).ebx >> 16 & 0xff;

	n_others -= n_others > 0;
	for (uint32_t i = 0; i < sizeof(trampoline); i++)
		((volatile uint8_t *)TRAMPOLINE)[i] = trampoline[i];
	for (uint32_t i = 1; i <= n_others; i++) {
		write32(LAPIC + 0x310, i << 24);
		write32(LAPIC + 0x300, 0x4500);
		write32(LAPIC + 0x310, i << 24);
		write32(LAPIC + 0x300, 0x4600 | TRAMPOLINE >> 12);
	}
	while ((read32(N_STARTED) & 0xffff) < n_others)
		cpu_relax();
	say("others", read32(N_STARTED));
	*(volatile uint32_t *)N_STARTED = 0;
}

static void change_cpu(void)
{
	uint32_t cr4;

	__asm__ volatile("movl %0, %%dr0" : : "r"(0x12345678));
	__asm__ volatile("movl %%cr4, %0" : "=r"(cr4));
	__asm__ volatile("movl %0, %%cr4" : : "r"(cr4 | 8)); /* debugging extensions */
	write_msr(MSR_PAT, 0x0606060606060606);
	write_msr(MSR_MTRR_DEF_TYPE, 0);
	write_msr(MSR_MTRR_16K, 0x0606060606060606);
	write_msr(MSR_MTRR_FIRST, 0xc0000006);
	write_msr(MSR_TSC, 1ull << 50);
	if (has_kvm_clock())
		write_msr(MSR_KVM_CLOCK, KVM_CLOCK_PAGE | 1);
}

static void change_devices(void)
{
	lapic_enable();
	write32(LAPIC + 0x80, 0xf0);                   /* nothing is let through */
	write32(LAPIC + 0x320, 0x20000 | SELF_VECTOR); /* periodic */
	write32(LAPIC + 0x380, 100000);
	write32(LAPIC + 0x300, 0x44000 | SELF_VECTOR); /* to itself */
	irq_route(SERIAL_GSI, 0, NULL);
	outb(SERIAL + 7, 0x5a);
	outb(SERIAL + 1, 0x0f);
	outb(SERIAL + 3, 0x83);
	outb(SERIAL + 4, 0x1f);
}

void guest_main(void)
{
	char c;

	put("life:");
	say_memory();
	say_cpu();
	say_devices();
	start_others();
	put("\n");
	data++;
	for (uint32_t at = RAM_START; at < RAM_END; at += PAGE) {
		*(volatile uint32_t *)at = at;
		*(volatile uint32_t *)(at + PAGE - 4) = at;
	}
	c = get_char();
	if (c == 'q')
		return;
	change_cpu();
	change_devices();
	outb(PM_RESET, 1);
	halt_forever();
}
