/* SPDX-License-Identifier: MIT */
/* shim_elf.S - pvh-shim.elf as it was built; the build says where it is */

	.section .rodata
	.balign 64
	.globl shim_elf, shim_elf_end
	.hidden shim_elf, shim_elf_end
shim_elf:
	.incbin SHIM_ELF
shim_elf_end:

	.section .note.GNU-stack, "", @progbits
