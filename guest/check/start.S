/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* start.S - the PVH entry of pvh-check: look at everything before changing it
 *
 * The first two instructions put own tables in place, read through cs, which works or else nothing
 * does.  From then on a segment that cannot be used is an exception that is caught, and told.  The price
 * is that the VMM's GDTR and IDTR are not seen; the ABI says nothing about them.
 *
 * An exception is delivered on the stack segment; so a bad ss cannot be caught.  Before ss is used for
 * the first time a line is printed, without a stack, which then is the last one.
 */

#include "layout.h"

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* PHYS32_ENTRY */
	.asciz "Xen"
	.long _start

	.text
	.code32
	.globl _start
_start:
	lidt %cs:idt_pointer
	lgdt %cs:gdt_pointer
/* An exception wants a stack; cr2 is the one register to spare. */
	movl %esp, %cr2
	movl $stack_end, %esp

/* ds.  A fault goes to ds_bad, and loses eax. */
	movl $PATTERN, cell
	cmpl $PATTERN, %cs:cell
	jne ds_bad
	cmpb $0, 0xffffffff
	movl %eax, entry_state + ENTRY_EAX
	movw %ds, entry_state + ENTRY_DS
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	jmp ds_done
ds_bad:
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	orl $BAD_DS, entry_state + ENTRY_BAD
ds_done:
	movl %ebx, entry_state + ENTRY_EBX
	movl %ecx, entry_state + ENTRY_ECX
	movl %edx, entry_state + ENTRY_EDX
	movl %esi, entry_state + ENTRY_ESI
	movl %edi, entry_state + ENTRY_EDI
	movl %ebp, entry_state + ENTRY_EBP
	movw %cs, entry_state + ENTRY_CS
	movw %es, entry_state + ENTRY_ES
	movw %ss, entry_state + ENTRY_SS
	str entry_state + ENTRY_TR
	sldt entry_state + ENTRY_LDTR
	movl %cr0, %eax
	movl %eax, entry_state + ENTRY_CR0
	movl %cr2, %eax
	movl %eax, entry_state + ENTRY_ESP
	movl %cr3, %eax
	movl %eax, entry_state + ENTRY_CR3
	movl %cr4, %eax
	movl %eax, entry_state + ENTRY_CR4

/* es */
	movl $es_bad, recover_eip
	movl $~PATTERN, %es:cell
	cmpl $~PATTERN, cell
	jne es_bad
	cmpb $0, %es:0xffffffff
	jmp es_done
es_bad:
	orl $BAD_ES, entry_state + ENTRY_BAD
es_done:
	movl $KERNEL_DS, %eax
	movl %eax, %es

/* cs */
	movl $cs_bad, recover_eip
	cmpb $0, %cs:0xffffffff
	jmp cs_done
cs_bad:
	orl $BAD_CS, entry_state + ENTRY_BAD
cs_done:

/* ss: base, limit, and that a push takes all of esp */
	cld
	movl $first_words, %esi
1:	movl $COM1 + 5, %edx
	movl $SERIAL_PATIENCE, %ecx
2:	inb %dx, %al
	testb $0x20, %al
	loopz 2b
	lodsb
	testb %al, %al
	jz 3f
	movl $COM1, %edx
	outb %al, %dx
	outb %al, $DEBUGCON
	jmp 1b
3:	movl $ss_bad, recover_eip
	movl $PATTERN, %ss:cell
	cmpl $PATTERN, cell
	jne ss_bad
	cmpb $0, %ss:0xffffffff
	pushl $PATTERN
	cmpl $PATTERN, stack_end - 4
	je ss_done
ss_bad:
	orl $BAD_SS, entry_state + ENTRY_BAD
ss_done:
	movl $KERNEL_DS, %eax
	movl %eax, %ss
	movl $stack_end, %esp

/* Whether the loader has cleared it is judged by what lies behind it. */
	movl $bss_start, %edi
	movl $bss_end, %ecx
	subl %edi, %ecx
	shrl $2, %ecx
	xorl %eax, %eax
	rep stosl

/* What was done so far has changed DF and the results of arithmetic, none of which is judged. */
	pushfl
	popl entry_state + ENTRY_EFLAGS
	ljmp $KERNEL_CS, $1f
1:	movl $fault_unexpected, recover_eip
	call check_main
	hlt

/* Any exception: the stack may be anything by now; go on where the code that was tried wants it. */
	.globl fault_entry
fault_entry:
	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %esp, fault_esp
	movl recover_esp, %esp
	jmp *recover_eip

fault_unexpected:
	pushl fault_esp
	call fault_report

/* int try_call(void (*function)(uint32_t), uint32_t argument): 0, or 1 if it ended in an exception. */
	.globl try_call
try_call:
	pushl %ebp
	pushl %ebx
	pushl %esi
	pushl %edi
	movl $1f, recover_eip
	movl %esp, recover_esp
	pushl 24(%esp)
	call *24(%esp)
	addl $4, %esp
	xorl %eax, %eax
	jmp 2f
1:	movl $KERNEL_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl $1, %eax
2:	movl $fault_unexpected, recover_eip
	movl $stack_end, recover_esp
	popl %edi
	popl %esi
	popl %ebx
	popl %ebp
	ret

/* void call_user(uint32_t what): run one instruction with user's rights; always ends in an exception.
 *
 * The exception is delivered on the stack that the task register's segment names.  sysexit finds the
 * user's segments in the GDT by their distance from KERNEL_CS.
 */
	.globl call_user
call_user:
	movl $MSR_SYSENTER_CS, %ecx
	movl $KERNEL_CS, %eax
	xorl %edx, %edx
	wrmsr
	movl 4(%esp), %edx
	movl $user_stack_end, %ecx
	sysexit

	.globl user_hlt
user_hlt:
	hlt

/* void paging_set(uint32_t cr3): on, with 64-bit tables; cr3 0: off.
 *
 * The code segment stays a 32-bit one, but exceptions are delivered in 64-bit mode.
 */
	.globl paging_set
paging_set:
	pushl %ebx
	movl 8(%esp), %ebx
	testl %ebx, %ebx
	jz 2f
	movl $CR4_PAE, %eax
	movl %eax, %cr4
	movl %ebx, %cr3
	movl $MSR_EFER, %ecx
	rdmsr
	orl $EFER_LME, %eax
	wrmsr
	movl %cr0, %eax
	orl $CR0_PG, %eax
	movl %eax, %cr0
	jmp 1f
1:	lidt idt64_pointer
	popl %ebx
	ret
2:	movl %cr0, %eax
	andl $~CR0_PG, %eax
	movl %eax, %cr0
	jmp 3f
3:	lidt idt_pointer
	movl $MSR_EFER, %ecx
	rdmsr
	andl $~EFER_LME, %eax
	wrmsr
	xorl %eax, %eax
	movl %eax, %cr4
	popl %ebx
	ret

	.code64
	.globl fault_entry64
fault_entry64:
	movl %esp, fault_esp(%rip)
	movl recover_esp(%rip), %esp
	movl recover_eip(%rip), %eax
	pushq $KERNEL_CS
	pushq %rax
	lretq
	.code32

	.section .rodata
first_words:
	.ascii "TAP version 13\n"
	.asciz "# pvh-check: the stack segment is used from here on; silence means that it cannot be\n"

	.data
	.balign 8
gdt:	.quad 0
	.quad 0x00cf9b000000ffff /* KERNEL_CS */
	.quad 0x00cf93000000ffff /* KERNEL_DS */
	.quad 0x00cffb000000ffff /* the user's code */
	.quad 0x00cff3000000ffff /* the user's data */
	.quad 0x00af9b000000ffff /* KERNEL_CS64 */
gdt_pointer:
	.word . - gdt - 1
	.long gdt

	.balign 8
idt:	.rept N_EXCEPTIONS
	.word fault_entry_low, KERNEL_CS, 0x8e00, fault_entry_high
	.endr
idt_pointer:
	.word . - idt - 1
	.long idt

	.balign 8
idt64:	.rept N_EXCEPTIONS
	.word fault_entry64_low, KERNEL_CS64, 0x8e00, fault_entry64_high
	.long 0, 0
	.endr
idt64_pointer:
	.word . - idt64 - 1
	.long idt64

	.balign 4
recover_eip:
	.long ds_bad
recover_esp:
	.long stack_end
	.globl fault_esp
fault_esp:
	.long 0
cell:	.long 0
	.globl entry_state
entry_state:
	.skip ENTRY_SIZE

	.bss
	.balign 16
	.skip 16384
stack_end:
	.skip 256
	.globl trap_stack_end
trap_stack_end:
	.skip 256
user_stack_end:

	.section .untouched, "aw", @nobits
	.globl untouched
untouched:
	.skip UNTOUCHED_SIZE
