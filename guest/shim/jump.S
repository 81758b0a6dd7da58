/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* jump.S - the note that holds what is packed, and the way into the kernel
 *
 * Source: Linux Documentation/arch/x86/boot.rst, "64-bit boot protocol".
 */

#define BOOT_CS 0x10
#define BOOT_DS 0x18

	.section .note.pack, "a", @note
	.balign 4
	.long 2f - 1f, 48, 1 /* PVH_PACK_NOTE */
1:	.asciz "pvh-shim"
2:	.balign 4
	.globl shim_pack
shim_pack:
	.quad 0, 0, 0, 0, 0, 0

	.section .rodata
	.balign 8
gdt:	.quad 0, 0
	.quad 0x00af9b000000ffff /* BOOT_CS: 64-bit code */
	.quad 0x00cf93000000ffff /* BOOT_DS */
gdt_end:

	.text
	.code64
	.globl shim_jump
/* shim_jump(rdi: entry, rsi: params) */
shim_jump:
	cli
	cld
	leaq gdt(%rip), %rax
	pushq %rax
	subq $8, %rsp
	movw $(gdt_end - gdt - 1), 6(%rsp)
	lgdt 6(%rsp)
	leaq 1f(%rip), %rax
	pushq $BOOT_CS
	pushq %rax
	lretq
1:	movl $BOOT_DS, %eax
	movl %eax, %ds
	movl %eax, %es
	movl %eax, %ss
	xorl %eax, %eax
	movl %eax, %fs
	movl %eax, %gs
	movq %rdi, %rax
	xorl %edi, %edi
	xorl %ebx, %ebx
	xorl %ebp, %ebp
	jmpq *%rax

	.section .note.GNU-stack, "", @progbits
