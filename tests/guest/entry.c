// SPDX-License-Identifier: MIT
/* entry.c - the state of the processor at the PVH entry
 *
 * Xen's docs/misc/pvh.pandoc says what is promised; the rest is left open and not looked at.
 */

#include "guest.h"

#define CR0_PE 0x1u
#define CR0_ET 0x10u /* cannot be written, reads as 1 */

#define EFLAGS_TF (1u << 8)
#define EFLAGS_IF (1u << 9)
#define EFLAGS_VM (1u << 17)

#define MSR_EFER          0xc0000080u
#define MSR_MTRR_DEF_TYPE 0x2ffu
#define MTRR_FIXED        0x400ull /* the fixed ranges may be on or off */
#define MSR_APIC_BASE     0x1bu

static volatile uint32_t cell;
static uint32_t ds_reads, es_reads, ss_reads, cs_reads;
static uint32_t es_wrote, ss_wrote;
static uint8_t ds_top, es_top, ss_top, cs_top;

void guest_early(void);

/* On the VMM's segments.  A limit below 4 GiB, or a segment that cannot be read or written, is an
 * exception here, without an IDT: the run then ends in a triple fault.
 */
void guest_early(void)
{
	cell = 0x600dcafe;
	__asm__ volatile("movl %%ds:cell, %0" : "=r"(ds_reads));
	__asm__ volatile("movl %%cs:cell, %0" : "=r"(cs_reads));
	__asm__ volatile("movl %%es:cell, %0" : "=r"(es_reads));
	__asm__ volatile("movl %%ss:cell, %0" : "=r"(ss_reads));
	__asm__ volatile("movl %1, %%es:cell" : "=m"(cell) : "r"(0x11111111));
	es_wrote = cell;
	__asm__ volatile("movl %1, %%ss:cell" : "=m"(cell) : "r"(0x22222222));
	ss_wrote = cell;
	/* The last byte of the address space is nobody's: it reads as all ones. */
	__asm__ volatile("movb %%ds:0xffffffff, %0" : "=q"(ds_top));
	__asm__ volatile("movb %%cs:0xffffffff, %0" : "=q"(cs_top));
	__asm__ volatile("movb %%es:0xffffffff, %0" : "=q"(es_top));
	__asm__ volatile("movb %%ss:0xffffffff, %0" : "=q"(ss_top));
}

static void check_segments(void)
{
	check_equal(ds_reads, 0x600dcafe, "ds reads");
	check_equal(cs_reads, 0x600dcafe, "cs reads");
	check_equal(es_reads, 0x600dcafe, "es reads");
	check_equal(ss_reads, 0x600dcafe, "ss reads");
	check_equal(es_wrote, 0x11111111, "es writes");
	check_equal(ss_wrote, 0x22222222, "ss writes");
	check_equal(ds_top, 0xff, "ds reaches 4 GiB");
	check_equal(cs_top, 0xff, "cs reaches 4 GiB");
	check_equal(es_top, 0xff, "es reaches 4 GiB");
	check_equal(ss_top, 0xff, "ss reaches 4 GiB");
}

/* With A20 held low, addresses 1 MiB apart are one. */
static void check_a20(void)
{
	volatile uint32_t *low = (volatile uint32_t *)0x9000;
	volatile uint32_t *high = (volatile uint32_t *)0x309000;

	*low = 0x12345678;
	*high = 0x9abcdef0;
	check(*low == 0x12345678 && *high == 0x9abcdef0, "A20 is open");
}

void guest_main(void)
{
	check_equal(entry_state.cr0 & ~CR0_ET, CR0_PE, "cr0: protected mode and nothing else");
	check_equal(entry_state.cr4, 0, "cr4 is 0");
	check_equal(entry_state.eflags & EFLAGS_IF, 0, "eflags: interrupts off");
	check_equal(entry_state.eflags & EFLAGS_TF, 0, "eflags: no single step");
	check_equal(entry_state.eflags & EFLAGS_VM, 0, "eflags: not virtual 8086 mode");
	check(entry_state.ebx != 0, "ebx is not 0");
	check_equal(entry_state.ebx & 3, 0, "ebx is aligned");
	check_equal(start_info()->magic, PVH_START_MAGIC, "ebx points at the magic");
	check_segments();
	check_a20();
	check_equal(read_msr(MSR_EFER), 0, "EFER is 0");
	check_equal(read_msr(MSR_MTRR_DEF_TYPE) & ~MTRR_FIXED, 0x806, "MTRR: on, write-back");
	check_equal(read_msr(MSR_APIC_BASE), LAPIC | 0x900, "APIC: on, in its place, boot CPU");
	checks_done();
}
