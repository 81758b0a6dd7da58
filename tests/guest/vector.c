// SPDX-License-Identifier: MIT
/* vector.c - in real mode, jump to the reset vector: what Linux does when it knows no other reset
 */

#include "guest.h"

#define STUB 0x8000u

extern const uint8_t real_mode[], real_mode_end[];

/* Runs at 0x8000: through a 16-bit code segment out of protected mode. */
__asm__("	.text\n"
	"	.code16\n"
	"real_mode:\n"
	"	movl %cr0, %eax\n"
	"	andl $0xfffffffe, %eax\n"
	"	movl %eax, %cr0\n"
	"	ljmpw $0xffff, $0\n"
	"real_mode_end:\n"
	"	.code32\n");

static const uint64_t gdt16[] = { 0, 0x00009a000000ffff };

void guest_main(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = { sizeof(gdt16) - 1, (uint32_t)gdt16 };
	uint8_t *to = (uint8_t *)STUB;

	for (const uint8_t *from = real_mode; from < real_mode_end; from++)
		*to++ = *from;
	put("jumping\n");
	__asm__ volatile("lgdt %0; ljmp $8, %1" : : "m"(pointer), "i"(STUB));
}
