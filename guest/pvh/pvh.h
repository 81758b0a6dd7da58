/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* pvh.h - libpvh: from the PVH entry point to a description of the machine
 *
 * One 32-bit entry serves Xen, KVM and others.  The parts, from the door inward:
 *
 *	entry.S        the note, a stack, segments (long mode in the 64-bit library)
 *	start.c        pvh_start(): reads the hand-over, calls pvh_main() or says why not
 *	info.c         the core: struct pvh_info from the start info
 *	memmap.c       the core: memory maps put in order
 *	guest.c        the core: which hypervisor this is, by CPUID
 *	boot_params.c  Linux's struct boot_params from a struct pvh_info
 *	xen.c          all that knows Xen's hypercalls (only with XEN_PVH)
 *	cpu.c, console.c  defaults of the hooks below
 *
 * The core and the converters have no globals and no assembly, and reach memory, CPUID and
 * hypercalls by the hooks only, so that the same code runs in a kernel, in a test and in a fuzzer.
 *
 * Nothing here is thread-safe or needs to be: it runs once, on the boot CPU, interrupts off.
 */
#ifndef PVH_PVH_H
#define PVH_PVH_H

#include <stdint.h>

#include <pvh/start_info.h>

struct boot_params;

enum pvh_guest {
	PVH_GUEST_OTHER, /* none that is known, or bare */
	PVH_GUEST_KVM,
	PVH_GUEST_XEN,
};

/* Why a hand-over cannot be used.  Functions return 0 or one of these, negated. */
enum pvh_error {
	PVH_E_MAGIC = 1,    /* the start info's magic is wrong */
	PVH_E_START_INFO,   /* the start info cannot be reached */
	PVH_E_NO_MAP,       /* no memory map, and no hypervisor to ask for one */
	PVH_E_NO_XEN,       /* on Xen, in a program built without XEN_PVH */
	PVH_E_XEN,          /* Xen refused a hypercall */
	PVH_E_MAP_ADDRESS,  /* entries, but no pointer, or they cannot be reached */
	PVH_E_MAP_COUNT,    /* more entries than PVH_MAX_MAP_ENTRIES */
	PVH_E_MAP_NO_RAM,   /* no RAM in the map */
	PVH_E_MAP_IMAGE,    /* the program itself does not lie in RAM of the map */
	PVH_E_MODULE_LIST,  /* modules, but no list, or it cannot be reached */
	PVH_E_MODULE_COUNT, /* more modules than PVH_MAX_MODULES */
	PVH_E_MODULE,       /* a module has no address, wraps, or lies over the program */
	PVH_E_CMDLINE,      /* a command line cannot be reached, or has no end */
};

#define PVH_MAX_REGIONS     256  /* regions kept */
#define PVH_MAX_MAP_ENTRIES 1024 /* entries accepted from a hypervisor */
#define PVH_MAX_MODULES     32
#define PVH_MAX_CMDLINE     65536 /* bytes, with the NUL */

/* A byte range of guest-physical memory. */
struct pvh_range {
	uint64_t addr;
	uint64_t size;
};

/* The machine, as a kernel wants to know it.  Addresses are guest-physical; 0 means "not there". */
struct pvh_info {
	enum pvh_guest guest;
	uint32_t xen_base; /* Xen's first CPUID leaf, or 0 */
	uint32_t version;  /* of the start info */
	uint32_t flags;    /* XEN_SIF_* */

	uint64_t rsdp; /* ACPI root pointer */

	/* A command line is checked to have its NUL within reach; size is without it. */
	struct pvh_range cmdline;

	uint32_t n_modules;
	struct pvh_module {
		struct pvh_range data;
		struct pvh_range cmdline;
	} modules[PVH_MAX_MODULES];

	/* Sorted, disjoint, neighbours of one type joined.  Where the hypervisor's entries overlap,
	 * the greatest type wins, so RAM yields to all; type 0 is taken for reserved.  addr + size
	 * never wraps: the last byte of the address space is in no region.
	 */
	uint32_t n_regions;
	uint32_t n_lost; /* regions above the last one kept, for want of room */
	struct hvm_memmap_table_entry regions[PVH_MAX_REGIONS];
};

/*
 * The core.
 */

/* Which hypervisor this is: Xen if one of its CPUID bases answers, else KVM if a base says so, else
 * other. *xen_base is set to Xen's base or 0.  (KVM's leaves may stand beside Xen's; then it is
 * Xen.)
 */
enum pvh_guest pvh_guest_detect(uint32_t *xen_base);

/* Read the start info at start_info, and all that it points to, into *info.  image is the range of
 * the running program, which must be in RAM and under no module.
 *
 * The memory map is the start info's table if it has one (version 1, entries), on Xen too; else Xen
 * is asked by hypercall; else there is none, an error.  Xen's answer may have
 * PVH_MAX_REGIONS / 2 - 1 entries at most, as a longer one might have been cut.
 *
 * Returns 0 or -PVH_E_*; then *info holds what was read so far.
 */
int pvh_info_read(struct pvh_info *info, uint32_t start_info, struct pvh_range image);

/* What is wrong, in a sentence without a full stop; the error may be negated or not. */
const char *pvh_error_text(int error);

/* Put n entries in order, in the sense of struct pvh_info: into out, which has room for *n_out;
 * *n_out becomes the number stored.  Empty entries vanish; those that wrap are cut at the end of
 * the address space.  in may lie at any address; in and out do not overlap.  Returns how many
 * regions did not fit, counted from the highest.
 */
uint32_t pvh_memmap_sanitize(const struct hvm_memmap_table_entry *in, uint32_t n,
	struct hvm_memmap_table_entry *out, uint32_t *n_out);

/* Whether all of range is RAM in the sanitized map of info. */
int pvh_memmap_is_ram(const struct pvh_info *info, struct pvh_range range);

/* Linux's boot_params ("zero page"; Documentation/arch/x86/boot.rst, zero-page.rst) for a kernel
 * that is entered with info's hand-over: e820 table, with the ISA range 0xa0000 to 0xfffff
 * reserved; command line; module 0 as initrd; RSDP; boot protocol 2.12; loader type 0x90 on Xen,
 * 0xb0 elsewhere.  *params is overwritten whole.  Returns how many regions the table had no room
 * for.
 */
uint32_t pvh_boot_params(const struct pvh_info *info, struct boot_params *params);

/*
 * Entry.
 */

/* The program: called with the description of the machine, on a stack of 16 KiB.  In
 * the 64-bit library the first 4 GiB are mapped one to one.  If it returns, the machine is halted.
 */
void pvh_main(const struct pvh_info *info);

/* The time stamp counter as the first instructions read it.  (Hidden: data that may be another
 * module's would be found through a table of absolute addresses.)
 */
extern const uint64_t pvh_entry_tsc __attribute__((visibility("hidden")));

/* Called by entry.S with what ebx held: prints "pvh: ..." and halts if the hand-over is of no use.
 */
_Noreturn void pvh_start(uint32_t start_info);

/*
 * Hooks.  Each has a default, mostly weak, which a program replaces by a definition of its own.
 */

/* size bytes of guest memory at paddr, or a null pointer if they are not within reach.  The default
 * reaches what entry.S has mapped: the first 4 GiB.  Where reach ends, a page of 4 KiB ends.
 */
void *pvh_phys(uint64_t paddr, uint64_t size);

/* CPUID: regs become eax, ebx, ecx, edx of leaf, subleaf 0. */
void pvh_cpuid(uint32_t leaf, uint32_t regs[4]);

/* Print a text.  The default writes to the serial port at 0x3f8 if there is one, and to port 0xe9,
 * which Xen shows on its console.
 */
void pvh_puts(const char *text);

/* Stop for good, without interrupts. */
_Noreturn void pvh_halt(void);

/* Xen.  The weak defaults print what is missing and return -PVH_E_NO_XEN; xen.c has the strong
 * ones, which are linked with XEN_PVH.
 */

/* Make hypercalls possible.  info has guest, xen_base, version, flags.  Called on Xen only, once,
 * before any other.  Returns 0 or -PVH_E_*.
 */
int pvh_xen_init(const struct pvh_info *info);

/* Ask Xen for the memory map (XENMEM_memory_map): *n entries at most into out; *n becomes the
 * number. Xen cuts a longer one without saying so: *n == capacity may mean that there is more.
 */
int pvh_xen_memmap(struct hvm_memmap_table_entry *out, uint32_t *n);

#endif
