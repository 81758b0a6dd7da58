// SPDX-License-Identifier: GPL-2.0 OR MIT
/* cpu.c - the processor at entry; start.S has looked */

#include "check.h"

#define CR0_PE 0x1u
#define CR0_ET 0x10u /* cannot be written */

#define EFLAGS_TF (1u << 8)
#define EFLAGS_IF (1u << 9)
#define EFLAGS_VM (1u << 17)

static enum verdict segment(uint32_t bad)
{
	return verdict(
		!(entry_state.bad & bad), "an access to own data or to the last byte failed");
}

static enum verdict cs(void)
{
	return segment(BAD_CS);
}

static enum verdict ds(void)
{
	return segment(BAD_DS);
}

static enum verdict es(void)
{
	return segment(BAD_ES);
}

static enum verdict ss(void)
{
	return segment(BAD_SS);
}

static enum verdict cr0(void)
{
	detail("is %x", entry_state.cr0);
	return (entry_state.cr0 & ~CR0_ET) == CR0_PE ? PASS : FAIL;
}

static enum verdict cr4(void)
{
	detail("is %x", entry_state.cr4);
	return entry_state.cr4 ? FAIL : PASS;
}

static enum verdict flag(uint32_t mask)
{
	detail("eflags is %x", entry_state.eflags);
	return entry_state.eflags & mask ? FAIL : PASS;
}

static enum verdict interrupts_off(void)
{
	return flag(EFLAGS_IF);
}

static enum verdict no_trace(void)
{
	return flag(EFLAGS_TF | EFLAGS_VM);
}

static enum verdict bss_zero(void)
{
	for (uint32_t i = 0; i < UNTOUCHED_SIZE; i++)
		if (untouched[i]) {
			detail("%x at %x", (uint32_t)untouched[i], (uint32_t)&untouched[i]);
			return FAIL;
		}
	return PASS;
}

static const struct check rows[] = {
	{ "cs: reaches 4 GiB", PVH_STATE, NULL, NULL, cs },
	{ "ds: base 0, reads, writes, reaches 4 GiB", PVH_STATE, NULL, NULL, ds },
	{ "es: base 0, reads, writes, reaches 4 GiB", PVH_STATE, NULL, NULL, es },
	{ "ss: base 0, reads, writes, reaches 4 GiB, 32-bit", PVH_STATE, NULL, NULL, ss },
	{ "cr0: PE is set, nothing else that can be written", PVH_STATE, NULL, NULL, cr0 },
	{ "cr4: is 0", PVH_STATE, NULL, NULL, cr4 },
	{ "eflags: IF is clear", PVH_STATE, NULL, NULL, interrupts_off },
	{ "eflags: TF and VM are clear", PVH_STATE, NULL, NULL, no_trace },
	{ "image: memory beyond the file's bytes is 0", ELF_SEGMENTS, NULL, NULL, bss_zero },
};

const struct checks cpu_checks = CHECKS(rows);
