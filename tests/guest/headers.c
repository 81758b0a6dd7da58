// SPDX-License-Identifier: MIT
/* headers.c - linked to 1 MiB so that its headers lie before it, among what is reserved there */

#include "guest.h"

#define HEADERS 0xff000u

static uint32_t sum(const uint8_t *byte, uint32_t size)
{
	uint32_t sum = 0;

	while (size--)
		sum += *byte++;
	return sum;
}

void guest_main(void)
{
	const struct hvm_start_info *info = (const void *)(uintptr_t)entry_state.ebx;
	const uint8_t *rsdp = (const uint8_t *)(uintptr_t)(uint32_t)info->rsdp_paddr;

	check_equal(read32(HEADERS), 0x464c457f, "the headers lie in the page before");
	check_equal(sum((const uint8_t *)0xffff0, 16), 0, "the rest of the page is as in the file");
	check(bytes_equal(rsdp, "RSD PTR ", 8) && !(sum(rsdp, 20) & 0xff), "the RSDP is whole");
	checks_done();
}
