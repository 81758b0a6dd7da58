// SPDX-License-Identifier: GPL-2.0 OR MIT
/* hello.c - the smallest useful guest: says where it is, and powers off */

#include <pvh/pvh.h>
#include <pvh/pvh_xen.h>

static void put_number(uint64_t n)
{
	char text[21], *digit = text + sizeof(text) - 1;

	*digit = '\0';
	do {
		*--digit = (char)('0' + n % 10);
		n /= 10;
	} while (n);
	pvh_puts(digit);
}

static void put_fact(const char *what, uint64_t n, const char *unit)
{
	pvh_puts(what);
	put_number(n);
	pvh_puts(unit);
}

static uint64_t now(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

static void put_guest(const struct pvh_info *info)
{
	pvh_puts("hello from a guest of ");
	pvh_puts(info->guest == PVH_GUEST_XEN   ? "Xen"
		 : info->guest == PVH_GUEST_KVM ? "KVM"
						: "nobody known");
	put_fact(", start info version ", info->version, "\n");
}

static void put_memory(const struct pvh_info *info)
{
	uint64_t size = 0;

	for (uint32_t i = 0; i < info->n_regions; i++)
		if (info->regions[i].type == PVH_MEMMAP_RAM)
			size += info->regions[i].size;
	put_fact("memory ", size >> 10, " KiB in ");
	put_fact("", info->n_regions, " regions\n");
}

/* The command line lies in the guest's memory, where pvh_info_read() has seen its end. */
static void put_cmdline(const struct pvh_info *info)
{
	pvh_puts("command line ");
	pvh_puts(info->cmdline.addr ? pvh_phys(info->cmdline.addr, info->cmdline.size + 1)
				    : "(none)");
	pvh_puts("\n");
	for (uint32_t i = 0; i < info->n_modules; i++) {
		put_fact("module ", i, ": ");
		put_fact("", info->modules[i].data.size, " bytes\n");
	}
}

static void out(uint16_t port, uint16_t value, int size)
{
	if (size == 1)
		__asm__ volatile("outb %0, %1" : : "a"((uint8_t)value), "Nd"(port));
	else
		__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

/* Without an interpreter of ACPI's language: the doors of the machines we know. */
static void power_off(const struct pvh_info *info)
{
#ifdef CONFIG_XEN_PVH
	if (info->guest == PVH_GUEST_XEN)
		pvh_xen_shutdown(XEN_SHUTDOWN_POWEROFF);
#endif
	(void)info;
	out(0x600, 0x34, 1);   /* Pronto: sleep control, soft-off */
	out(0x604, 0x2000, 2); /* QEMU pc, q35: PM1 control */
	out(0x64, 0xfe, 1);    /* the keyboard controller: a reset */
	/* QEMU microvm has none of these: a triple fault. */
	__asm__ volatile("lidt %0; ud2" : : "m"((const char[10]){ 0 }));
}

void pvh_main(const struct pvh_info *info)
{
	uint64_t since_entry = now() - pvh_entry_tsc;

	put_guest(info);
	put_memory(info);
	put_cmdline(info);
	put_fact("entered ", since_entry, " cycles of the time stamp counter ago\n");
	power_off(info);
}
