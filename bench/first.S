/* SPDX-License-Identifier: MIT */
/* first.S - the tiniest guest: its first act is a byte on the serial port
 *
 * Every monitor carries that byte to its standard output, so the same clock outside sees it come from
 * all of them.  Then the guest halts for good, or, with POWER_OFF, goes through every door there is.
 *
 * With AGAIN it writes the byte again and again, so that wherever it was saved the next comes at once,
 * until it is asked to power off.
 * With TOUCH it has written to every page of its RAM below 4 GiB before; this one is 32-bit code, and
 * wants start info.
 *
 * The code means the same in 16, 32 and 64-bit mode and wherever it lies: prefixes and immediates are
 * spelt out where an assembler for one mode would choose an encoding of that mode.  (In 16-bit mode
 * the upper half of an immediate is an instruction that changes a byte of the guest's memory.)
 */

	.section .note.Xen, "a", @note
	.balign 4
	.long 4, 4, 18 /* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz "Xen"
	.long first_start

#define PORT(n) .byte 0xba; .long n /* mov $n, %edx */
#define VALUE(n) .byte 0xb0, n      /* mov $n, %al */
#define OUT .byte 0xee              /* out %al, (%dx) */
#define IN .byte 0xec               /* in (%dx), %al */
#define IS(n) .byte 0x3c, n         /* cmp $n, %al */
#define JNE(to) jne to              /* near enough to be short in every mode */

	.text
	.code32
	.globl first_start, first_end, _start
_start:
first_start:
#ifdef TOUCH
	mov 0x28(%ebx), %esi /* the memory map: where it is, and how many entries it has */
	mov 0x30(%ebx), %ecx
2:	cmpl $1, 16(%esi) /* RAM ... */
	jne 4f
	cmpl $0, 4(%esi)
	jne 4f
	mov (%esi), %edi
	mov 8(%esi), %edx
	add %edi, %edx
	cmp $0x100000, %edi /* ... from the MiB on in which we are, but for our own page */
	jb 4f
	add $0x1000, %edi
3:	cmp %edx, %edi
	jae 4f
	movb $1, (%edi)
	add $0x1000, %edi
	jmp 3b
4:	add $24, %esi
	loop 2b
#endif
	PORT(0x3f8)
	VALUE('!')
#ifdef AGAIN
5:	OUT
	PORT(0x604) /* Pronto's power button: has it been pressed? */
	IN
	IS(1)
	PORT(0x3f8)
	VALUE('!')
	JNE(5b)
	PORT(0x600)
	VALUE(0x34)
#endif
	OUT
	cli
#ifdef POWER_OFF
	PORT(0x600) /* ACPI sleep control: soft-off by type 5 */
	VALUE(0x34)
	OUT
	PORT(0x64) /* the keyboard controller's reset */
	VALUE(0xfe)
	OUT
	ud2 /* no IDT: a triple fault */
#endif
1:	hlt
	jmp 1b
first_end:
