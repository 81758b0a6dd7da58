/* SPDX-License-Identifier: MIT */
/* instant_elf.S - guest/instant as it was built; the build says where it is */

	.section .rodata
	.balign 64
	.globl instant_elf, instant_elf_end
	.hidden instant_elf, instant_elf_end
instant_elf:
	.incbin INSTANT_ELF
instant_elf_end:

	.section .note.GNU-stack, "", @progbits
