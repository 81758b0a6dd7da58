/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* entry.S - from the PVH entry point to pvh_start()
 *
 * At entry (Xen docs/misc/pvh.pandoc): 32-bit protected mode, paging off, flat segments, ebx = start
 * info, interrupts off.  Nothing else is promised: esp points nowhere, the direction flag may be set,
 * there may be no GDT behind the selectors, which may read 0.
 *
 * There are two entries.  pvh_entry runs where it was linked for.  pvh_entry_reloc runs anywhere below
 * 4 GiB, which its note says; it needs the start info to be writable, as it is the only memory known to
 * a program that does not know its own place.  The linker script takes the one or the other.
 */

#ifdef CONFIG_PVH

#define CODE 0x08 /* selectors, for the mode that pvh_start() runs in */
#define DATA 0x10

#define STACK_SIZE 16384

#define CR0_PE	 0x00000001
#define CR0_PG	 0x80000000
#define CR4_PAE	 0x00000020
#define MSR_EFER 0xc0000080
#define EFER_LME 0x00000100

#define PAGE_TABLE 0x003 /* present, writable */
#define PAGE_2M	   0x083

/* x, by the run-time address of pvh_common in ebp. */
#define AT(x) ((x) - pvh_common)(%ebp)

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long pvh_entry

	.section .note.Xen.reloc, "a", @note
	.balign 4
	.long 4, 4, 18
	.asciz "Xen"
	.long pvh_entry_reloc
	.long 4, 12, 19 /* XEN_ELFNOTE_PHYS32_RELOC */
	.asciz "Xen"
	.long 0x1000, 0x100000, 0xffffffff /* alignment, least address, last byte */

	.section .text.pvh_entry, "ax"
	.code32
	.globl pvh_entry
pvh_entry:
	cld
	movl $pvh_common, %ebp
	jmp pvh_common

	.section .text.pvh_entry_reloc, "ax"
	.globl pvh_entry_reloc
pvh_entry_reloc:
	cld
	movl (%ebx), %ecx
	leal 4(%ebx), %esp
	call 1f
1:	popl %ebp
	movl %ecx, (%ebx)
	leal (pvh_common - 1b)(%ebp), %ebp

	jmp pvh_common

	.section .text.pvh_common, "ax"
	.globl pvh_common
pvh_common:
	rdtsc
	movl %eax, AT(pvh_entry_tsc)
	movl %edx, AT(pvh_entry_tsc + 4)

	leal AT(gdt), %eax
	movl %eax, AT(gdt_pointer + 2)
	lgdt AT(gdt_pointer)
	movl $DATA, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss

	/* Loaders may leave .bss as it was. */
	leal AT(pvh_bss_start), %edi
	leal AT(pvh_bss_end), %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl
	leal AT(stack_end), %esp

#ifdef __x86_64__
	/* The first 4 GiB one to one: pml4 -> pdpt -> four directories of 2 MiB pages. */
	leal AT(pdpt), %edi
	leal PAGE_TABLE(%edi), %eax
	movl %eax, AT(pml4)
	leal (PAGE_TABLE + 4096)(%edi), %eax
	movl $4, %ecx
1:	movl %eax, (%edi)
	addl $4096, %eax
	addl $8, %edi
	decl %ecx
	jnz 1b
	leal AT(pdpt + 4096), %edi
	movl $PAGE_2M, %eax
1:	movl %eax, (%edi)
	addl $8, %edi
	addl $0x200000, %eax
	jnc 1b

	movl %cr4, %eax
	orl $CR4_PAE, %eax
	movl %eax, %cr4
	leal AT(pml4), %eax
	movl %eax, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $(CR0_PG | CR0_PE), %eax
	movl %eax, %cr0
#endif

	leal AT(1f), %eax
	pushl $CODE
	pushl %eax
	lret

#ifdef __x86_64__
	.code64
1:	movl %ebx, %edi
#else
1:	subl $12, %esp /* the ABI wants esp + 4 aligned to 16 at a function's start */
	pushl %ebx
#endif
	/* fs and gs are nobody's: what they hold now may not be loadable again. */
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	xorl %ebp, %ebp
	call pvh_start

	.section .data.pvh_entry, "aw"
	.balign 8
	.globl pvh_entry_tsc
pvh_entry_tsc:
	.quad 0
gdt:	.quad 0
#ifdef __x86_64__
	.quad 0x00af9b000000ffff /* CODE: 64-bit */
#else
	.quad 0x00cf9b000000ffff /* CODE: 32-bit, 4 GiB */
#endif
	.quad 0x00cf93000000ffff /* DATA: 4 GiB */
gdt_pointer:
	.word . - gdt - 1
	.long 0

	.section .bss.pvh_entry, "aw", @nobits
#ifdef __x86_64__
	.balign 4096
pml4:	.skip 4096
pdpt:	.skip 4096
	.skip 4 * 4096 /* the directories */
#endif
	.balign 16
	.skip STACK_SIZE
stack_end:

	.section .note.GNU-stack, "", @progbits

#endif /* CONFIG_PVH */
