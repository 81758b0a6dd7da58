// SPDX-License-Identifier: MIT
/* reader.c - libpvh's core behind the entry of these programs: say what was handed over */

#include "guest.h"

#include "../../guest/pvh/pvh.h"

extern uint8_t image_start[], image_end[];

void *pvh_phys(uint64_t paddr, uint64_t size)
{
	return paddr + size >= paddr && paddr + size <= 1ull << 32 ? (void *)(uint32_t)paddr : NULL;
}

void pvh_cpuid(uint32_t leaf, uint32_t regs[4])
{
	struct cpuid r = cpuid(leaf, 0);

	regs[0] = r.eax;
	regs[1] = r.ebx;
	regs[2] = r.ecx;
	regs[3] = r.edx;
}

int pvh_xen_init(const struct pvh_info *info)
{
	return -PVH_E_NO_XEN;
}

int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	return -PVH_E_NO_XEN;
}

void guest_main(void)
{
	static struct pvh_info info;
	struct pvh_range image = { (uint32_t)image_start,
		(uint64_t)((uint32_t)image_end - (uint32_t)image_start) };
	int ret = pvh_info_read(&info, entry_state.ebx, image);

	if (ret) {
		put("pvh: ");
		put(pvh_error_text(ret));
		put_char('\n');
		halt_forever();
	}
	put("hello, guest ");
	put_number(info.guest);
	put(", version ");
	put_hex(info.version);
	put(", regions ");
	put_number(info.n_regions);
	put(", modules ");
	put_number(info.n_modules);
	put(", command line ");
	put(info.cmdline.addr ? (const char *)(uint32_t)info.cmdline.addr : "none");
	put_char('\n');
}
