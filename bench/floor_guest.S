/* SPDX-License-Identifier: MIT */
/* floor_guest.S - the tiniest guest, in both forms, as bytes for the floor to copy */

	.section .rodata
	.globl floor_halt, floor_halt_end, floor_off, floor_off_end
floor_halt:
	.incbin "first-halt.bin"
floor_halt_end:
floor_off:
	.incbin "first-off.bin"
floor_off_end:

	.section .note.GNU-stack, "", @progbits
