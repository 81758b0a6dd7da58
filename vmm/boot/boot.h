/* SPDX-License-Identifier: MIT */
/* boot.h - put a kernel and all that PVH hands over into guest RAM
 *
 * The only writer of guest memory before the guest runs.  Source: Xen docs/misc/pvh.pandoc.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

#include "boot/acpi.h"
#include "boot/load.h"
#include "boot/memmap.h"
#include "boot/place.h"
#include "image/image.h"
#include "mem/guest_mem.h"
#include "util/diag.h"

#include <stdio.h>

/* What a kernel is told unless the operator says otherwise; docs/boot.md has the reasons. */
#define BOOT_CMDLINE(pci)    "console=ttyS0 reboot=a panic=-1 cryptomgr.notests " pci "8250.nr_uarts=1"
#define BOOT_DEFAULT_CMDLINE BOOT_CMDLINE("pci=off ")
#define BOOT_PCI_CMDLINE     BOOT_CMDLINE("") /* where there is PCI */

/* Bytes without the NUL that Linux takes: its COMMAND_LINE_SIZE on x86, less one. */
#define BOOT_LINUX_CMDLINE_MAX 2047u

struct boot_spec {
	const struct image *image;  /* what is entered: the kernel, or pvh-shim */
	const struct image *kernel; /* what pvh-shim is to boot; NULL: no shim */
	int initrd_fd;              /* regular file, or -1 */
	uint64_t initrd_size;       /* bytes; 0 with initrd_fd >= 0 is refused by the caller */
	const char *cmdline;        /* NUL-terminated, handed over as it is */
	enum load_map map;
	uint32_t n_cpus;
	uint32_t n_virtio_slots;
	bool has_pci;
};

/* The segments of the entry, in the order of their selectors: 0, 0x8 code, 0x10 data, 0x18 TSS. */
#define BOOT_GDT_SIZE 4

/* What was handed over, and where. */
struct handover {
	uint32_t entry;   /* first instruction */
	gpa_t start_info; /* %ebx */
	gpa_t stack;      /* %esp */
	gpa_t gdt_at;     /* GDTR */
	uint64_t gdt[BOOT_GDT_SIZE];
	int64_t load_offset; /* added to every address of the image (PHYS32_RELOC); usually 0 */
	struct place_taken
		taken; /* with the modules: pvh-shim's kernel, if any; the initrd, if any */
	struct memmap memmap;
	struct acpi_tables acpi;
};

/* Whether what is entered, or what pvh-shim is to boot, says that it is Linux: a bzImage, or by the
 * note GUEST_OS.
 */
bool boot_is_linux(const struct boot_spec *spec);

/* Load and describe everything.  0, or -errno and the reason in diag: -E2BIG command line over the
 * limit (2047 bytes for Linux), -ENOSPC initrd or kernel do not fit RAM, -ENOEXEC no PVH entry or a
 * place that no memory gives, read errors.  Guest memory is fresh and zero on entry; on failure its
 * contents are undefined.
 */
int boot_load(struct guest_mem *mem, const struct boot_spec *spec, struct handover *handover,
	struct diag *diag);

/* Print exactly what boot_load() put there, read back from guest RAM: load ranges, entry, memory
 * map, start info, module, command line, ACPI tables (these in acpidump's format, so that
 * acpixtract and iasl read it).
 */
void boot_describe(FILE *out, const struct guest_mem *mem, const struct boot_spec *spec,
	const struct handover *handover);

#endif
