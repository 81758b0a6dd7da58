// SPDX-License-Identifier: MIT
/* low.c - loaded to address 0 and entered there (mini-os); overwrites low memory at once, with all
 * that was handed over in it (Toro)
 */

#include "guest.h"

#define LOW_END 0xa0000u

extern const uint8_t _start[], image_end[];

void guest_main(void)
{
	const struct hvm_start_info *info = (const void *)(uintptr_t)entry_state.ebx;
	uint32_t start = ((uint32_t)(uintptr_t)image_end + 3) & ~3u, n_wrong = 0;

	check_equal((uint32_t)(uintptr_t)_start, 0, "entered at address 0");
	check_equal(info->magic, 0x336ec578, "the start info is beside it");
	for (uint32_t at = start; at < LOW_END; at += 4)
		write32(at, ~at);
	for (uint32_t at = start; at < LOW_END; at += 4)
		n_wrong += read32(at) != ~at;
	check_equal(n_wrong, 0, "all of low memory is its own");
	checks_done();
}
