/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* start.S - from the kernel to C: System V ABI, AMD64, 3.4.1 */

	.text
	.globl _start
_start:
	xorl	%ebp, %ebp
	andq	$-16, %rsp
	call	init_main
	hlt

	.section .note.GNU-stack, "", @progbits
