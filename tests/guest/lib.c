// SPDX-License-Identifier: MIT
/* lib.c - what the guest programs share */

#include "guest.h"

static unsigned int n_checks;

/* The compiler calls these by itself. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

void *memcpy(void *to, const void *from, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = ((const uint8_t *)from)[i];
	return to;
}

void *memset(void *to, int byte, size_t size)
{
	for (size_t i = 0; i < size; i++)
		((volatile uint8_t *)to)[i] = (uint8_t)byte;
	return to;
}

/* ---- output and input ---- */

void put_char(char c)
{
	while (!(inb(SERIAL + 5) & 0x20))
		cpu_relax();
	outb(SERIAL, (uint8_t)c);
}

void put(const char *text)
{
	while (*text)
		put_char(*text++);
}

void put_hex(uint64_t value)
{
	int shift = 60;

	put("0x");
	while (shift && !(value >> shift))
		shift -= 4;
	for (; shift >= 0; shift -= 4)
		put_char("0123456789abcdef"[value >> shift & 15]);
}

void put_number(uint32_t value)
{
	if (value >= 10)
		put_number(value / 10);
	put_char((char)('0' + value % 10));
}

char get_char(void)
{
	while (!(inb(SERIAL + 5) & 1))
		cpu_relax();
	return (char)inb(SERIAL);
}

/* ---- checks ---- */

void check(bool ok, const char *what)
{
	put(ok ? "ok " : "not ok ");
	put_number(++n_checks);
	put(" - ");
	put(what);
	put_char('\n');
}

void check_equal(uint64_t is, uint64_t should_be, const char *what)
{
	check(is == should_be, what);
	if (is == should_be)
		return;
	put("# is ");
	put_hex(is);
	put(", should be ");
	put_hex(should_be);
	put_char('\n');
}

void checks_done(void)
{
	put("1..");
	put_number(n_checks);
	put_char('\n');
}

uint32_t string_size(const char *text)
{
	uint32_t size = 0;

	while (text[size])
		size++;
	return size;
}

bool bytes_equal(const void *a, const void *b, uint32_t size)
{
	const uint8_t *x = a, *y = b;

	while (size && *x++ == *y++)
		size--;
	return !size;
}

uint32_t checksum(const void *data, uint32_t size)
{
	const uint8_t *byte = data;
	uint32_t sum = 0x811c9dc5;

	while (size--)
		sum = (sum ^ *byte++) * 0x01000193;
	return sum;
}

static char line[256];
static volatile uint32_t line_size;
static volatile bool line_done;

void line_receive(void)
{
	while (inb(SERIAL + 5) & 1) {
		char c = (char)inb(SERIAL);

		if (c == '\n')
			line_done = true;
		else if (line_size < sizeof(line))
			line[line_size++] = c;
	}
}

bool line_is_done(void)
{
	return line_done;
}

void line_report(void)
{
	put("# line ");
	put_number(line_size);
	put(" ");
	put_hex(checksum(line, line_size));
	put("\n");
}

/* ---- the hand-over ---- */

const struct hvm_start_info *start_info(void)
{
	return (const struct hvm_start_info *)entry_state.ebx;
}

const char *command_line(void)
{
	return (const char *)(uint32_t)start_info()->cmdline_paddr;
}

const void *acpi_table(const char signature[4])
{
	const uint8_t *rsdp = (const uint8_t *)(uint32_t)start_info()->rsdp_paddr;
	const uint8_t *xsdt = *(const uint8_t *const *)(rsdp + 24);
	uint32_t size = *(const uint32_t *)(xsdt + 4);

	for (uint32_t at = 36; at + 8 <= size; at += 8) {
		const void *table = *(const void *const *)(xsdt + at);

		if (bytes_equal(table, signature, 4))
			return table;
	}
	return NULL;
}

/* ---- traps ---- */

struct gate {
	uint16_t low, selector, type, high;
};

static struct gate idt[FIRST_VECTOR + N_VECTORS];
static void (*handlers[N_VECTORS])(void);

extern const uint8_t exception_entries[], interrupt_entries[];
void trap_report(uint32_t vector);
void interrupt(uint32_t vector);

/* Above the vector lies what the processor pushed: perhaps an error code, EIP, CS, EFLAGS. */
void trap_report(uint32_t vector)
{
	const volatile uint32_t *stack = &vector;

	put("\nBail out! exception ");
	for (int i = 0; i < 5; i++) {
		put_hex(stack[i]);
		put_char(i < 4 ? ' ' : '\n');
	}
	power_off();
}

void interrupt(uint32_t vector)
{
	handlers[vector - FIRST_VECTOR]();
	write32(LAPIC + 0xb0, 0); /* EOI */
}

void traps_init(void)
{
	const struct {
		uint16_t limit;
		uint32_t base;
	} __attribute__((packed)) pointer = { sizeof(idt) - 1, (uint32_t)idt };

	for (uint32_t i = 0; i < FIRST_VECTOR + N_VECTORS; i++) {
		uint32_t entry = i < FIRST_VECTOR
		                         ? (uint32_t)exception_entries + 16 * i
		                         : (uint32_t)interrupt_entries + 16 * (i - FIRST_VECTOR);

		idt[i] = (struct gate){ (uint16_t)entry, KERNEL_CS, 0x8e00,
			(uint16_t)(entry >> 16) };
	}
	__asm__ volatile("lidt %0" : : "m"(pointer));
}

void lapic_enable(void)
{
	write32(LAPIC + 0xf0, 0x1ff); /* spurious vector register: software enable */
}

uint32_t lapic_id(void)
{
	return read32(LAPIC + 0x20) >> 24;
}

void vector_handle(unsigned int index, void (*handler)(void))
{
	handlers[index] = handler;
}

void irq_route(unsigned int pin, unsigned int index, void (*handler)(void))
{
	vector_handle(index, handler);
	write32(IOAPIC, 0x10 + 2 * pin + 1);
	write32(IOAPIC + 0x10, lapic_id() << 24);
	write32(IOAPIC, 0x10 + 2 * pin);
	write32(IOAPIC + 0x10, FIRST_VECTOR + index);
}

/* ---- the end ---- */

_Noreturn void halt_forever(void)
{
	for (;;)
		__asm__ volatile("cli; hlt");
}

_Noreturn void power_off(void)
{
	outb(PM_SLEEP_CTL, 5 << 2 | 0x20);
	halt_forever();
}
