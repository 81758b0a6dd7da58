/* SPDX-License-Identifier: MIT */
/* start.S - from the PVH entry to guest_main()
 *
 * Every register that can be seen is saved before it is touched: the entry program judges them.
 * Nothing that the hand-over leaves open is relied on: stack, GDT and IDT are our own.
 */

#include "vectors.h"

#ifndef NOTE_DESC_SIZE
#define NOTE_DESC_SIZE 4
#endif

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, NOTE_DESC_SIZE, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long _start
#if NOTE_DESC_SIZE == 8
	.long 0
#endif

	.text
	.code32
	.globl _start
_start:
	movl %eax, entry_state
	movl %ebx, entry_state + 4
	movl %ecx, entry_state + 8
	movl %edx, entry_state + 12
	movl %esi, entry_state + 16
	movl %edi, entry_state + 20
	movl %ebp, entry_state + 24
	movl %esp, entry_state + 28
	movl %cr0, %eax
	movl %eax, entry_state + 32
	movl %cr3, %eax
	movl %eax, entry_state + 36
	movl %cr4, %eax
	movl %eax, entry_state + 40
	/* The flags: no instruction so far has changed one. */
	movl $stack_end, %esp
	pushfl
	popl entry_state + 44

	cld
	call guest_early
	lgdt gdt_pointer
	ljmp $KERNEL_CS, $1f
1:	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	movl %eax, %fs
	movl %eax, %gs
	movl $stack_end, %esp
	call traps_init
	call guest_main
	call power_off

/* Runs on the segments that the VMM left.  The entry program has one of its own. */
	.weak guest_early
guest_early:
	ret

/* Exceptions: no way back.  Whether the processor pushed an error code is left to the reader. */
	.balign 16
	.globl exception_entries
exception_entries:
	.set vector, 0
	.rept N_EXCEPTIONS
	.balign 16
	pushl $vector
	call trap_report
	.set vector, vector + 1
	.endr

/* Interrupts: eax, ecx and edx are the C code's to change. */
	.balign 16
	.globl interrupt_entries
interrupt_entries:
	.set vector, FIRST_VECTOR
	.rept N_VECTORS
	.balign 16
	pushl $vector
	jmp interrupt_common
	.set vector, vector + 1
	.endr

interrupt_common:
	xchgl %eax, (%esp)
	pushl %ecx
	pushl %edx
	cld
	pushl %eax
	call interrupt
	addl $4, %esp
	popl %edx
	popl %ecx
	popl %eax
	/* What iret would do at one privilege level; a KVM that interprets may lack iret. */
	pushl 8(%esp)
	popfl
	ret $8

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00cf9a000000ffff /* KERNEL_CS: 32-bit code, 4 GiB */
	.quad 0x00cf92000000ffff /* KERNEL_DS: data, 4 GiB */
	.globl gdt_pointer
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.bss
	.balign 16
	.globl entry_state
entry_state:
	.skip 48
	.balign 16
	.skip 16384
stack_end:
