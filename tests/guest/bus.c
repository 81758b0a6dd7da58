// SPDX-License-Identifier: MIT
/* bus.c - accesses that a well-behaved kernel does not make: none of them may harm the VM */

#include "guest.h"

static uint16_t inw(uint16_t port)
{
	uint16_t value;

	__asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static void check_ports(void)
{
	uint8_t bytes[8] = { 0 };
	uint32_t n = 4;
	void *to = bytes;

	check_equal(inb(0x60), 0xff, "a port of nobody reads as ones");
	check_equal(inw(0x64), 0xffff, "so does a word");
	check_equal(inl(0xcf8), 0xffffffff, "and a long");
	check_equal(inw(0x3ff), 0xffff, "an access across a device's end is nobody's");
	check_equal(inl(0x5fe), 0xffffffff, "one across its start, too");
	outl(0xcf8, 0x80000000);
	outb(SERIAL + 7, 0x5a);
	__asm__ volatile("rep insb" : "+D"(to), "+c"(n) : "d"(SERIAL + 7) : "memory");
	check(bytes[0] == 0x5a && bytes[3] == 0x5a && !bytes[4], "a string of port reads");
}

static void check_mmio(void)
{
	check_equal(read32(0xd8000000), 0xffffffff, "memory of nobody reads as ones");
	write32(0xd8000000, 0);
	check_equal(*(volatile uint8_t *)0xfebfffff, 0xff, "so does a byte");
	write32(IOAPIC, 1);
	if (bytes_equal(command_line(), "5 inputs", 9)) {
		check_equal(read32(IOAPIC + 0x10), 0x00040011, "I/O APIC: version 0x11, 5 pins");
		check((read32(IOAPIC + 0x10) >> 16 & 0xff) > GED_GSI,
			"I/O APIC: an input more than who counts one less needs");
	} else {
		check_equal(read32(IOAPIC + 0x10), 0x00030011, "I/O APIC: version 0x11, 4 pins");
	}
	check_equal(*(volatile uint8_t *)(IOAPIC + 0x10), 0x11, "I/O APIC: its first byte alone");
	write32(IOAPIC, 0xff);
	write32(IOAPIC + 0x10, 0xffffffff);
	check_equal(read32(IOAPIC + 0x10), 0, "I/O APIC: a register that is not there");
	check_equal(read32(IOAPIC + 0x20) | read32(IOAPIC + 0xffc), 0, "I/O APIC: no register");
}

void guest_main(void)
{
	check_ports();
	check_mmio();
	checks_done();
}
