// SPDX-License-Identifier: GPL-2.0 OR MIT
/* start.c - read the hand-over, call the program */

#include "pvh.h"

#ifdef CONFIG_PVH

/* From the linker script (pvh.ld). */
#pragma GCC visibility push(hidden)
extern char pvh_image_start[], pvh_image_end[];
#pragma GCC visibility pop

/* On Xen, in a program without xen.c.  Not inline: the strong one is to be found by the linker. */
__attribute__((weak, noinline)) int pvh_xen_init(const struct pvh_info *info)
{
	(void)info;
	pvh_puts("pvh: on Xen a program needs XEN_PVH, which this one was built without\n");
	return -PVH_E_NO_XEN;
}

__attribute__((weak, noinline)) int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	(void)out;
	*n = 0;
	return -PVH_E_NO_XEN;
}

_Noreturn void pvh_start(uint32_t start_info)
{
	static struct pvh_info info;
	struct pvh_range image = {
		.addr = (uintptr_t)pvh_image_start,
		.size = (uintptr_t)pvh_image_end - (uintptr_t)pvh_image_start,
	};
	int ret = pvh_info_read(&info, start_info, image);

	if (ret) {
		pvh_puts("pvh: ");
		pvh_puts(pvh_error_text(ret));
		pvh_puts("\n");
	} else {
		pvh_main(&info);
	}
	pvh_halt();
}

#endif /* CONFIG_PVH */
