/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* check.h - what the parts of pvh-check share
 *
 * A check is a row of a table: what must be so, who says it, and a function that looks.  The order
 * of the tables is the order of the output, the same under every VMM.  The judgement is
 * independent: nothing of libpvh is used but the headers of the ABI.
 *
 * All runs in 32-bit mode without paging, where no address below 4 GiB can fault; ram.c switches
 * paging on for what lies above.  Counts and sizes from the VMM bound no loop without a limit of
 * our own.
 */
#ifndef CHECK_CHECK_H
#define CHECK_CHECK_H

#include "layout.h"

#include <pvh/start_info.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict { PASS, FAIL, SKIP };

/* A MUST of the ABI names no one who relies on it: all do.  A SHOULD says who breaks or loses
 * something without it.
 */
struct check {
	const char *what;
	const char *source; /* the clause; NULL: none, it is a SHOULD */
	const char *relied_on_by;
	const char *(*lacks)(
		void); /* why there is nothing to look at, or NULL; may be NULL itself */
	enum verdict (*run)(void); /* explains a FAIL or a SKIP with detail() */
};

struct checks {
	const struct check *rows;
	uint32_t n;
};

extern const struct checks cpu_checks, start_info_checks, module_checks, map_checks, ram_checks,
	acpi_checks, platform_checks, task_checks;

#define CHECKS(rows)                                   \
	{                                              \
		rows, sizeof(rows) / sizeof((rows)[0]) \
	}

/* The clauses, by short names. */
#define PVH_STATE    "pvh.pandoc, machine state at entry"
#define PVH_MTRR     "pvh.pandoc, MTRR"
#define PVH_HARDWARE "pvh.pandoc, hardware description"
#define START_INFO   "start_info.h, hvm_start_info"
#define START_MODULE "start_info.h, hvm_modlist_entry"
#define START_MAP    "start_info.h, hvm_memmap_table_entry"
#define ELF_SEGMENTS "ELF, program header: bytes beyond p_filesz are 0"
#define ACPI_RSDP    "ACPI 5.2.5, RSDP"
#define ACPI_TABLE   "ACPI 5.2.6, table header"
#define ACPI_MADT    "ACPI 5.2.12, MADT"

/* ---- start.S ---- */

/* The registers as the VMM left them. */
struct entry_state {
	uint32_t eax, ebx, ecx, edx, esi, edi, ebp, esp;
	uint32_t cr0, cr3, cr4, eflags;
	uint16_t cs, ds, es, ss, tr, ldtr;
	uint32_t bad; /* BAD_* */
};

_Static_assert(sizeof(struct entry_state) == ENTRY_SIZE, "entry state");
_Static_assert(offsetof(struct entry_state, eflags) == ENTRY_EFLAGS, "eflags");
_Static_assert(offsetof(struct entry_state, bad) == ENTRY_BAD, "bad");

extern const struct entry_state entry_state;
extern const uint8_t image_start[], image_end[];
extern const uint8_t untouched[UNTOUCHED_SIZE]; /* as the loader left it */

/* Call function(argument); whether it ended in an exception.  Not to be nested. */
int try_call(void (*function)(uint32_t), uint32_t argument);

/* Switch paging on with these page tables, or off with 0. */
void paging_set(uint32_t cr3);

/* Execute with user's rights at this address.  Ends in an exception, so it is called by try_call().
 */
void call_user(uint32_t address);
extern const uint8_t user_hlt[], trap_stack_end[];
extern const uint32_t fault_esp; /* the stack pointer after the last exception was delivered */

/* Called for an exception that no one tried for. */
_Noreturn void fault_report(const uint32_t *stack);

/* ---- report.c ---- */

/* Explain the verdict.  The format knows %s, %c, %u, %x and %llx.  What is too long is cut. */
void detail(const char *format, ...) __attribute__((format(printf, 1, 2)));
enum verdict skip(const char *why);
enum verdict fail(const char *why);
enum verdict verdict(bool ok, const char *why_not);

/* Print, in the same format. */
void print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Run the checks of a table and print a line each. */
void report_run(const struct checks *checks);
bool report_all_well(void);

/* ---- console.c ---- */

/* Find out where output goes: serial port, port 0xe9, Xen's console.  xen_init() comes before. */
void console_init(void);
void console_write(const char *text, uint32_t size);

/* ---- handover.c: the start info, copied at entry as far as it can be believed ---- */

struct handover {
	bool found;                 /* the magic is there */
	struct hvm_start_info info; /* version 0: the rest is 0 */

	/* From the start info, or from Xen.  n_entries is what can be looked at. */
	const struct hvm_memmap_table_entry *map;
	uint32_t n_entries;
	const char *map_source; /* what the map comes from, or NULL: there is none */

	const struct hvm_modlist_entry *modules;
	uint32_t n_modules;

	const char *cmdline; /* NULL: none that can be read */
	uint32_t cmdline_size;
};

extern struct handover handover;

#define MAX_MODULES 64
#define MAX_ENTRIES 1024
#define MAX_CMDLINE 0x10000 /* bytes, with the NUL */

void handover_read(void);

/* For struct check's lacks. */
const char *lacks_start_info(void);
const char *lacks_map(void);
const char *lacks_modules(void);
const char *lacks_cmdline(void);

/* size bytes at addr, or NULL: they are not all below 4 GiB, or start at 0. */
const void *at(uint64_t addr, uint64_t size);

/* The end of an entry; the last address if it wraps. */
uint64_t entry_end(const struct hvm_memmap_table_entry *entry);
/* Whether all of the range is RAM in the map, whose entries may be in any order. */
bool is_ram(uint64_t addr, uint64_t size);
/* Whether any of it is. */
bool touches_ram(uint64_t addr, uint64_t size);

/* Value of NAME=VALUE in the command line: what follows the '=', or NULL. */
const char *option(const char *name);
/* The decimal number at *text, which is moved behind it. */
uint32_t number(const char **text);

/* ---- xen.c ---- */

/* Look for Xen. */
void xen_init(void);
bool on_xen(void);
void xen_version(uint32_t *major, uint32_t *minor);
void xen_console_write(const char *text, uint32_t size);
/* Entries stored, or less than 0. */
int xen_memory_map(struct hvm_memmap_table_entry *map, uint32_t n);
void xen_shutdown(uint32_t reason);

/* ---- acpi.c ---- */

/* The table with this signature, checked to be readable; NULL: there is none. */
const uint8_t *acpi_table(const char *signature);
/* Power off or reset by what the FADT says; false: it says nothing of use.  The machine may run on
 * for a while.
 */
bool acpi_power_off(void);
bool acpi_reset(void);

/* ---- end.c ---- */

/* Tell the world how it went: debug-exit port, Xen, ACPI; whatever is there. */
_Noreturn void end(bool well);

/* ---- lib.c ---- */

/* The compiler calls these by itself, too. */
void *memcpy(void *to, const void *from, size_t size);
void *memset(void *to, int byte, size_t size);

bool bytes_equal(const void *a, const void *b, uint32_t size);
uint8_t byte_sum(const void *data, uint32_t size);
uint32_t checksum(const void *data, uint32_t size); /* FNV-1a, 32 bits */
uint32_t load32(const void *at);
uint64_t load64(const void *at);
uint32_t text_size(const char *text, uint32_t limit); /* without the NUL; limit if there is none */

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

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

struct cpuid {
	uint32_t eax, ebx, ecx, edx;
};

static inline struct cpuid cpuid(uint32_t leaf)
{
	struct cpuid r;

	__asm__ volatile("cpuid"
			 : "=a"(r.eax), "=b"(r.ebx), "=c"(r.ecx), "=d"(r.edx)
			 : "a"(leaf), "c"(0));
	return r;
}

/* Read a model-specific register; false: that is an exception here. */
bool read_msr(uint32_t msr, uint64_t *value);

#endif
