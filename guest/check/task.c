// SPDX-License-Identifier: GPL-2.0 OR MIT
/* task.c - the task register's segment, seen through what the processor does with it
 *
 * An exception in user mode is delivered on the stack that the TSS names.  The TSS must lie at
 * address 0, where RAM can be written: so its base and its kind show.  (Its limit would show in how
 * a user's access to a port is judged.)  A processor without a TSS cannot deliver such an exception
 * and shuts down: hence this comes last.
 */

#include "check.h"

#define TSS_ESP0 4
#define TSS_SS0  8
#define TSS_SIZE 104

/* ss, esp, eflags, cs, eip, error code */
#define PUSHED 24u

static uint8_t saved[TSS_SIZE];

static void store16(uint32_t addr, uint16_t value)
{
	*(volatile uint16_t *)addr = value;
}

static void store32(uint32_t addr, uint32_t value)
{
	*(volatile uint32_t *)addr = value;
}

static void tss_make(void)
{
	for (uint32_t i = 0; i < TSS_SIZE; i++)
		saved[i] = *(volatile uint8_t *)i;
	for (uint32_t i = TSS_ESP0; i < TSS_SIZE; i += 4)
		store32(i, 0);
	store32(TSS_ESP0, (uint32_t)trap_stack_end);
	store16(TSS_SS0, KERNEL_DS);
}

static void tss_unmake(void)
{
	for (uint32_t i = 0; i < TSS_SIZE; i++)
		*(volatile uint8_t *)i = saved[i];
}

/* Some emulators abort when a user's exception meets a TSS that was not loaded by ltr (QEMU 7.2's
 * TCG does: "invalid tss type"), also if they only emulate the host.  So one has to ask for this.
 */
static const char *lacks_leave(void)
{
	if (!option("pvh-check.tr"))
		return "pvh-check.tr=1 was not given; QEMU's emulation may not survive it";
	return is_ram(0, TSS_SIZE) ? NULL : "there is no RAM at address 0";
}

static enum verdict stack(void)
{
	uint32_t expected = (uint32_t)trap_stack_end - PUSHED;

	tss_make();
	try_call(call_user, (uint32_t)user_hlt);
	tss_unmake();
	detail("the exception's stack pointer is %x, not %x", fault_esp, expected);
	return fault_esp == expected ? PASS : FAIL;
}

static const struct check rows[] = {
	{ "tr: a 32-bit TSS at address 0 is in use", PVH_STATE, NULL, lacks_leave, stack },
};

const struct checks task_checks = CHECKS(rows);
