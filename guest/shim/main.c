// SPDX-License-Identifier: GPL-2.0 OR MIT
/* main.c - pvh-shim's own part: what is packed, where it lies, and the jump */

#include "shim.h"

/* In the image's note (note.S), filled in by `pronto pack`. */
extern const struct pvh_pack shim_pack;

static struct shim shim;

/* From the linker script. */
extern char pvh_image_start[], pvh_image_end[];

void pvh_main(const struct pvh_info *info)
{
	struct pvh_range image = {
		.addr = (uintptr_t)pvh_image_start,
		.size = (uintptr_t)pvh_image_end - (uintptr_t)pvh_image_start,
	};
	const char *problem = shim_prepare(&shim, info, &shim_pack, image);

	if (!problem)
		shim_jump(shim.entry, &shim.params);
	pvh_puts("pvh-shim: ");
	pvh_puts(problem);
	pvh_puts("\n");
}
