/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* start.S - from the kernel to C, with what it has put on the stack: System V ABI, AMD64, 3.4.1 */

	.text
	.globl _start
_start:
	xorl	%ebp, %ebp
	movq	%rsp, %rdi
	andq	$-16, %rsp
	call	instant_main
	hlt

	.section .note.GNU-stack, "", @progbits
