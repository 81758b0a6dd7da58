// SPDX-License-Identifier: MIT
/* early.c - what the ABI leaves to the guest, used before the guest has any: stack and GDT
 *
 * Nanos calls before it sets esp; KTF reloads ds, from cs, before its own lgdt.  An address or a
 * selector that is no good is an exception here, without an IDT: the run then ends in a triple
 * fault.
 */

#include "guest.h"

#define STACK_SIZE 1024

static volatile uint32_t cell = 0x600dcafe;
static uint32_t ds_as_cs, pushed;

void guest_early(void);

static void reload_segments(void)
{
	uint32_t cs, ds;

	__asm__ volatile("movl %%cs, %0; movl %%ds, %1" : "=r"(cs), "=r"(ds));
	__asm__ volatile("movl %2, %%ds; movl %%ds:cell, %0; movl %1, %%ds"
			 : "=&r"(ds_as_cs)
			 : "r"(ds), "r"(cs)
			 : "memory");
	__asm__ volatile("movl %0, %%es; movl %0, %%ss; movl %0, %%fs; movl %0, %%gs" : : "r"(ds));
	__asm__ volatile("pushl %0; pushl $1f; lret; 1:" : : "r"(cs) : "memory");
}

/* All of a stack, from the last word that is below esp at the entry. */
static void use_stack(void)
{
	uint32_t top = entry_state.esp;

	__asm__ volatile("xchgl %%esp, %1\n"
			 "	call 1f\n"
			 "	jmp 2f\n"
			 "1:	ret\n"
			 "2:	movl %2, %%ecx\n"
			 "3:	pushl %%ecx\n"
			 "	loop 3b\n"
			 "	popl %0\n"
			 "	movl %1, %%esp\n"
			 : "=&r"(pushed), "+&r"(top)
			 : "i"(STACK_SIZE / 4)
			 : "ecx", "memory");
}

void guest_early(void)
{
	reload_segments();
	use_stack();
}

void guest_main(void)
{
	const struct hvm_start_info *info = start_info();

	check_equal(ds_as_cs, 0x600dcafe, "ds reloaded from cs reads");
	check(true, "each segment can be reloaded with the selector that it had");
	check_equal(pushed, 1, "esp points at memory");
	check_equal(info->magic, PVH_START_MAGIC, "a stack does not reach the start info");
	check(*command_line() > ' ', "nor the command line");
	checks_done();
}
