// SPDX-License-Identifier: MIT
/* smp.c - start every CPU that the MADT lists by INIT and SIPI; each tells who it is
 *
 * With the word "soft-off" nobody enables its local APIC by the spurious vector register, as
 * nothing that a start needs asks for it (TamaGo).
 */

#include "guest.h"

#define TRAMPOLINE 0x8000u
#define MAX_CPUS   64
#define PATIENCE   200000u /* turns, each an exit to the kernel at least */

struct cpu {
	volatile uint32_t here;
	uint32_t apic_id, leaf1_id, leafb_id, leafb_cpus, cr0, apic_base;
};

static struct cpu cpus[MAX_CPUS];
static volatile uint32_t n_here;
static bool soft_off;
extern uint8_t stacks[MAX_CPUS][1024];
uint8_t stacks[MAX_CPUS][1024] __attribute__((aligned(16)));

extern const uint8_t trampoline[], trampoline_end[];
void ap_main(uint32_t id);

/* Real mode at 0x8000: load our GDT, enter protected mode, take the stack of this CPU's number. */
__asm__("	.text\n"
	"	.code16\n"
	"trampoline:\n"
	"	cli\n"
	"	xorw %ax, %ax\n"
	"	movw %ax, %ds\n"
	"	lgdtl %ds:0x8000 + (trampoline_gdt - trampoline)\n"
	"	movl %cr0, %eax\n"
	"	orl $1, %eax\n"
	"	movl %eax, %cr0\n"
	"	ljmpl $8, $ap_entry\n"
	"	.balign 8\n"
	"trampoline_gdt:\n"
	"	.skip 6\n"
	"trampoline_end:\n"
	"	.code32\n"
	"ap_entry:\n"
	"	movl $16, %eax\n"
	"	movl %eax, %ds\n"
	"	movl %eax, %es\n"
	"	movl %eax, %ss\n"
	"	movl $1, %eax\n"
	"	cpuid\n"
	"	shrl $24, %ebx\n"
	"	movl %ebx, %esp\n"
	"	incl %esp\n"
	"	shll $10, %esp\n"
	"	addl $stacks, %esp\n"
	"	pushl %ebx\n"
	"	call ap_main\n"
	"1:	hlt\n"
	"	jmp 1b\n");

void ap_main(uint32_t id)
{
	struct cpu *cpu = &cpus[id % MAX_CPUS];
	struct cpuid top = cpuid(0, 0), b = { 0 };

	cpu->leaf1_id = id;
	if (top.eax >= 0xb) {
		b = cpuid(0xb, 1);
		cpu->leafb_id = b.edx;
		cpu->leafb_cpus = b.ebx & 0xffff;
	}
	if (!soft_off)
		lapic_enable();
	cpu->apic_id = lapic_id();
	cpu->apic_base = (uint32_t)read_msr(0x1b);
	__asm__ volatile("movl %%cr0, %0" : "=r"(cpu->cr0));
	cpu->here = 1;
	__atomic_fetch_add(&n_here, 1, __ATOMIC_SEQ_CST);
}

static void send_ipi(uint32_t apic_id, uint32_t command)
{
	write32(LAPIC + 0x310, apic_id << 24);
	write32(LAPIC + 0x300, command);
	while (read32(LAPIC + 0x300) & 0x1000)
		cpu_relax();
}

static bool wait_for(uint32_t n)
{
	for (uint32_t i = 0; i < PATIENCE && n_here < n; i++)
		inb(SERIAL + 7);
	return n_here >= n;
}

/* The enabled local APICs of the MADT, in its order. */
static uint32_t list_cpus(uint32_t *ids)
{
	const uint8_t *madt = acpi_table("APIC");
	uint32_t size = *(const uint32_t *)(madt + 4), n = 0;

	for (uint32_t at = 44; at + 2 <= size && madt[at + 1]; at += madt[at + 1]) {
		if (madt[at] == 0 && madt[at + 4] & 1 && n < MAX_CPUS)
			ids[n++] = madt[at + 3];
		if (madt[at] == 9 && madt[at + 8] & 1 && n < MAX_CPUS)
			ids[n++] = *(const uint32_t *)(madt + at + 4);
	}
	return n;
}

static void check_cpus(const uint32_t *ids, uint32_t n)
{
	bool leaf_b = cpuid(0, 0).eax >= 0xb && cpuid(0xb, 0).ebx;
	bool here = true, leaf1 = true, leafb = true, lapic = true, counts = true, boot = true;

	for (uint32_t i = 1; i < n; i++) {
		const struct cpu *cpu = &cpus[ids[i] % MAX_CPUS];

		here &= cpu->here;
		leaf1 &= cpu->leaf1_id == ids[i];
		lapic &= cpu->apic_id == ids[i];
		leafb &= !leaf_b || cpu->leafb_id == ids[i];
		counts &= !leaf_b || cpu->leafb_cpus == n;
		boot &= cpu->apic_base == (LAPIC | 0x800);
	}
	check(here, "each CPU of the MADT is here");
	check(lapic, "local APIC ids are the MADT's");
	check(leaf1, "CPUID leaf 1 has the ids");
	check(leafb, "CPUID leaf 0xb has the ids");
	check(counts, "CPUID leaf 0xb counts the CPUs");
	check(boot, "only the boot CPU is marked as such");
}

void guest_main(void)
{
	uint32_t ids[MAX_CPUS], n = list_cpus(ids);
	extern const uint8_t gdt_pointer[];
	uint8_t *to = (uint8_t *)TRAMPOLINE;

	soft_off = bytes_equal(command_line(), "soft-off", 9);
	if (!soft_off)
		lapic_enable();
	for (const uint8_t *from = trampoline; from < trampoline_end; from++)
		*to++ = *from;
	for (uint32_t i = 0; i < 6; i++)
		to[(int)i - 6] = gdt_pointer[i];
	put("# cpus ");
	put_number(n);
	put("\n");
	check(n > 0 && ids[0] == lapic_id(), "the boot CPU comes first in the MADT");
	check_equal(cpuid(1, 0).ebx >> 24, lapic_id(), "boot CPU: CPUID leaf 1 has its id");
	check_equal(cpuid(1, 0).ebx >> 16 & 0xff, n, "CPUID leaf 1 counts the CPUs");
	for (uint32_t i = 1; i < n; i++) {
		check(!cpus[ids[i] % MAX_CPUS].here, "a CPU waits to be started");
		send_ipi(ids[i], 0x4500);                    /* INIT */
		send_ipi(ids[i], 0x4600 | TRAMPOLINE >> 12); /* start-up */
		check(wait_for(i), "it starts");
	}
	check_cpus(ids, n);
	checks_done();
}
