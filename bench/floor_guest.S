/* SPDX-License-Identifier: MIT */
/* floor_guest.S - the tiniest guest, in three forms, as bytes for the floors to copy */

	.section .rodata
	.globl floor_halt, floor_halt_end, floor_off, floor_off_end, floor_again, floor_again_end
floor_halt:
	.incbin "first-halt.bin"
floor_halt_end:
floor_off:
	.incbin "first-off.bin"
floor_off_end:
floor_again:
	.incbin "first-again.bin"
floor_again_end:

	.section .note.GNU-stack, "", @progbits
