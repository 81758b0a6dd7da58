// SPDX-License-Identifier: MIT
/* mptable.c - find CPUs and interrupts by the MP table alone, as Toro and FTL do */

#include "guest.h"

enum { CPU, BUS, IO_APIC, IO_INTERRUPT, LOCAL_INTERRUPT };
static const uint8_t entry_size[] = { 20, 8, 8, 8, 8 };

static uint8_t byte_sum(const uint8_t *byte, uint32_t size)
{
	uint8_t sum = 0;

	while (size--)
		sum = (uint8_t)(sum + *byte++);
	return sum;
}

/* In the BIOS's ROM, on paragraphs. */
static const uint8_t *find_pointer(void)
{
	for (const uint8_t *at = (const uint8_t *)0xf0000; at < (const uint8_t *)0x100000; at += 16)
		if (bytes_equal(at, "_MP_", 4) && at[8] == 1 && !byte_sum(at, 16))
			return at;
	return NULL;
}

static void check_entries(const uint8_t *table)
{
	const uint8_t *at = table + 44, *end = table + *(const uint16_t *)(table + 4);
	uint32_t n = *(const uint16_t *)(table + 34), n_cpus = 0, n_boot = 0, n_extint = 0,
		 n_nmi = 0;
	bool ids = true, ioapic = false, isa = false, serial = false, known = true;

	for (; n && at < end && at[0] <= LOCAL_INTERRUPT; at += entry_size[at[0]], n--) {
		switch (at[0]) {
		case CPU:
			ids &= at[1] == n_cpus++ && at[3] & 1;
			n_boot += at[3] >> 1 & 1 && at[1] == lapic_id();
			break;
		case BUS: isa = bytes_equal(at + 2, "ISA   ", 6); break;
		case IO_APIC: ioapic = at[3] & 1 && *(const uint32_t *)(at + 4) == IOAPIC; break;
		case IO_INTERRUPT: serial = at[1] == 0 && at[5] == 4 && at[7] == SERIAL_GSI; break;
		default:
			n_extint += at[1] == 3 && at[6] == 0xff && at[7] == 0;
			n_nmi += at[1] == 1 && at[6] == 0xff && at[7] == 1;
			break;
		}
	}
	known = !n && at == end;
	check(known, "as many entries as the table says, to its end");
	check(ids && n_boot == 1, "processors: enabled, one of them boots");
	check(isa, "a bus: ISA");
	check(ioapic, "the I/O APIC");
	check(serial, "COM1: IRQ 4 of the bus");
	check(n_extint == 1 && n_nmi == 1, "local interrupts: ExtINT and NMI");
	put("# cpus ");
	put_number(n_cpus);
	put("\n");
}

void guest_main(void)
{
	const uint8_t *pointer = find_pointer(), *table;

	check(pointer != NULL, "a floating pointer");
	if (pointer) {
		table = *(const uint8_t *const *)(pointer + 4);
		check_equal(pointer[11], 0, "no default configuration");
		check(bytes_equal(table, "PCMP", 4), "the table's signature");
		check_equal(byte_sum(table, *(const uint16_t *)(table + 4)), 0, "its sum");
		check_equal(*(const uint32_t *)(table + 36), LAPIC, "local APICs");
		check_entries(table);
	}
	checks_done();
}
