// SPDX-License-Identifier: MIT
/* naps.c - sleep, halted, until the local APIC's TSC deadline: as many ms as each word of the
 * command line says */

#include "guest.h"

#define LVT_TIMER        (LAPIC + 0x320)
#define LVT_MASKED       0x10000u
#define LVT_TSC_DEADLINE 0x40000u
#define TIMER_INITIAL    (LAPIC + 0x380)
#define TIMER_CURRENT    (LAPIC + 0x390)
#define TIMER_DIVIDE     (LAPIC + 0x3e0)
#define DIVIDE_BY_1      0xb
#define MSR_TSC_DEADLINE 0x6e0
#define TICKS_A_MS       1000000u /* of KVM's local APIC timer, undivided */

static volatile uint32_t n_interrupts;

static void timer_interrupt(void)
{
	n_interrupts++;
}

static uint64_t read_tsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

/* Counted beside ten milliseconds of the other timer. */
static uint32_t tsc_ticks_a_ms(void)
{
	uint64_t from;
	uint32_t counted;

	write32(LVT_TIMER, LVT_MASKED);
	write32(TIMER_DIVIDE, DIVIDE_BY_1);
	write32(TIMER_INITIAL, 0xffffffff);
	counted = read32(TIMER_CURRENT);
	from = read_tsc();
	while (counted - read32(TIMER_CURRENT) < 10 * TICKS_A_MS)
		cpu_relax();
	write32(TIMER_INITIAL, 0);
	return (uint32_t)(read_tsc() - from) / 10;
}

static void nap(uint32_t ms, uint32_t ticks_a_ms)
{
	uint64_t deadline = read_tsc() + (uint64_t)ms * ticks_a_ms;
	uint32_t n = n_interrupts;

	write_msr(MSR_TSC_DEADLINE, deadline);
	wait_until(n_interrupts != n);
	check(read_tsc() >= deadline, "woken, and not too early");
}

static const char *read_number(const char *text, uint32_t *number)
{
	*number = 0;
	while (*text >= '0' && *text <= '9')
		*number = *number * 10 + (uint32_t)(*text++ - '0');
	return *text == ' ' ? text + 1 : text;
}

void guest_main(void)
{
	const char *word = command_line();
	uint32_t ticks_a_ms, ms, n = 0;

	lapic_enable();
	vector_handle(0, timer_interrupt);
	ticks_a_ms = tsc_ticks_a_ms();
	write32(LVT_TIMER, LVT_TSC_DEADLINE | FIRST_VECTOR);
	while (*word >= '0' && *word <= '9') {
		word = read_number(word, &ms);
		nap(ms, ticks_a_ms);
		n++;
	}
	check(*word == '\0', "the command line is numbers");
	check_equal(n_interrupts, n, "an interrupt for each nap");
	checks_done();
}
