/* SPDX-License-Identifier: MIT */
/* guest.h - what the guest programs share: output, checks, ports, interrupts, the end
 *
 * A program is one C file with guest_main(); it runs in 32-bit mode without paging, on one CPU
 * unless it starts others.  What it finds it prints as TAP, on the serial line.
 */
#ifndef GUEST_GUEST_H
#define GUEST_GUEST_H

#include "vectors.h"

#include <pvh/start_info.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The machine, as its documentation gives it. */
#define SERIAL       0x3f8
#define SERIAL_GSI   1
#define PM_SLEEP_CTL 0x600
#define PM_RESET     0x602
#define PM_EVENTS    0x604
#define PM_TIMER     0x608
#define PM_MARK      0x60c
#define PM_SAVE      0x60d
#define GED_GSI      3
#define IOAPIC       0xfec00000u
#define LAPIC        0xfee00000u

/* The registers as the VMM left them; start.S fills it in this order. */
struct entry_state {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp;
	uint32_t cr0, cr3, cr4, eflags;
};
extern const struct entry_state entry_state;

/* The program's own part.  Returning from it powers off. */
void guest_main(void);

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t inl(uint16_t port)
{
	uint32_t value;

	__asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outl(uint16_t port, uint32_t value)
{
	__asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint32_t read32(uint32_t addr)
{
	return *(volatile uint32_t *)addr;
}

static inline void write32(uint32_t addr, uint32_t value)
{
	*(volatile uint32_t *)addr = value;
}

static inline uint64_t read_msr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void write_msr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf, uint32_t subleaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(subleaf));
	return r;
}

static inline void cpu_relax(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void interrupts_on(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void interrupts_off(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/* Halt until `condition` holds, which an interrupt is to bring about; with interrupts off before
 * and after.  One that is pending is let in before the halt: a processor keeps it until the HLT
 * after an STI has begun, but an emulated one's VMRUN forgets that it must (docs/lab.md), and the
 * HLT would wait for another.
 */
#define wait_until(condition)                                             \
	do {                                                              \
		__asm__ volatile("sti; nop; cli" : : : "memory");         \
		if (!(condition))                                         \
			__asm__ volatile("sti; hlt; cli" : : : "memory"); \
	} while (!(condition))

/* Output: polled, one CPU at a time. */
void put_char(char c);
void put(const char *text);
void put_hex(uint64_t value);
void put_number(uint32_t value);

/* Input: polled; waits. */
char get_char(void);

/* TAP.  check() prints one line and counts; checks_done() prints the plan. */
void check(bool ok, const char *what);
/* The same, and what it was if it is wrong. */
void check_equal(uint64_t is, uint64_t should_be, const char *what);
void checks_done(void);

uint32_t string_size(const char *text);
bool bytes_equal(const void *a, const void *b, uint32_t size);
/* FNV-1a, 32 bits: what the host's side computes of the same bytes. */
uint32_t checksum(const void *data, uint32_t size);

/* A line of input: take in what the serial port has, at its interrupt; all is there; say what came.
 */
void line_receive(void);
bool line_is_done(void);
void line_report(void);

/* What the VMM handed over. */
const struct hvm_start_info *start_info(void);
const char *command_line(void);
/* The ACPI table with this signature, or NULL. */
const void *acpi_table(const char signature[4]);

/* Local APIC and I/O APIC. */
void traps_init(void);
void lapic_enable(void);
uint32_t lapic_id(void);
/* Have this called for vector FIRST_VECTOR + index. */
void vector_handle(unsigned int index, void (*handler)(void));
/* Route a pin to this CPU, edge-triggered, as vector FIRST_VECTOR + index. */
void irq_route(unsigned int pin, unsigned int index, void (*handler)(void));

_Noreturn void power_off(void);
_Noreturn void halt_forever(void);

#endif
