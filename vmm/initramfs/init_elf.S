/* SPDX-License-Identifier: MIT */
/* init_elf.S - guest/init as it was built; the build says where it is */

	.section .rodata
	.balign 64
	.globl init_elf, init_elf_end
	.hidden init_elf, init_elf_end
init_elf:
	.incbin INIT_ELF
init_elf_end:

	.section .note.GNU-stack, "", @progbits
