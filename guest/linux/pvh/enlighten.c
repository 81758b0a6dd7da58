// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * enlighten.c - the PVH entry's way into Linux
 *
 * Between head.S and the core (pvh.h): makes the boot_params that the kernel's
 * own entry expects, and reaches memory, CPUID and a console for the core.
 *
 * All of it runs before .bss is cleared, without an IDT, and on page tables
 * that map what 32 bits reach one to one (on a 32-bit kernel, what lies below
 * PAGE_OFFSET). So nothing that is kept may be in .bss, and an exception would
 * end the machine without a word: faults are looked for, reported and halted
 * at.
 */
#include <linux/init.h>
#include <linux/types.h>

#include <asm/bootparam.h>
#include <asm/io.h>
#include <asm/page.h>
#include <asm/processor.h>
#include <asm/sections.h>

#include <asm/pvh/linux.h>
#include <asm/pvh/pvh.h>

#define SERIAL_PORT     0x3f8
#define SERIAL_STATUS   (SERIAL_PORT + 5)
#define SERIAL_NONE     0xff /* nothing answers at a port */
#define SERIAL_READY    0x20
#define SERIAL_PATIENCE 100000

/* Shown on Xen's own console. */
#define DEBUG_PORT 0xe9

#ifdef CONFIG_X86_64
#define PHYS_REACH (1ULL << 32)
#else
#define PHYS_REACH ((u64)PAGE_OFFSET)
#endif

struct boot_params pvh_bootparams __initdata;
static struct pvh_info machine __initdata;

void *__init pvh_phys(uint64_t paddr, uint64_t size)
{
	if (paddr >= PHYS_REACH || size > PHYS_REACH - paddr)
		return NULL;
	return (void *)(unsigned long)paddr;
}

void __init pvh_cpuid(uint32_t leaf, uint32_t regs[4])
{
	regs[0] = leaf;
	regs[2] = 0;
	native_cpuid(&regs[0], &regs[1], &regs[2], &regs[3]);
}

static void __init serial_putc(char c)
{
	unsigned int patience = SERIAL_PATIENCE;
	u8 status;

	do
		status = inb(SERIAL_STATUS);
	while (!(status & SERIAL_READY) && --patience);
	if (patience && status != SERIAL_NONE)
		outb(c, SERIAL_PORT);
}

void __init pvh_puts(const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			serial_putc('\r');
		serial_putc(*text);
		outb(*text, DEBUG_PORT);
	}
}

void __init __noreturn pvh_halt(void)
{
	for (;;)
		asm volatile("cli; hlt");
}

/*
 * Xen's strong ones are in arch/x86/xen/enlighten_pvh.c.
 */

static int __init no_xen(void)
{
	pvh_puts("pvh: on Xen a kernel needs CONFIG_XEN_PVH, which this one was built without\n");
	return -PVH_E_NO_XEN;
}

int __init __weak pvh_xen_init(const struct pvh_info *info)
{
	return no_xen();
}

int __init __weak pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n)
{
	return no_xen();
}

void __init __weak pvh_xen_boot_params(struct boot_params *params)
{
}

/*
 * Called by head.S. Returns with pvh_bootparams filled, or says why that cannot
 * be, and halts.
 */
__visible void __init pvh_prepare(u32 start_info)
{
	const struct pvh_range image = {
		.addr = __pa_symbol(_text),
		.size = _end - _text,
	};
	int ret = pvh_info_read(&machine, start_info, image);

	if (ret) {
		pvh_puts("pvh: cannot boot: ");
		pvh_puts(pvh_error_text(ret));
		pvh_puts("\n");
		pvh_halt();
	}
	if (machine.n_lost + pvh_boot_params(&machine, &pvh_bootparams))
		pvh_puts("pvh: the memory map is too long; its upper end is not used\n");
	if (machine.guest == PVH_GUEST_XEN)
		pvh_xen_boot_params(&pvh_bootparams);
}
