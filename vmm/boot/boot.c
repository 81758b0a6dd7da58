// SPDX-License-Identifier: MIT
/* boot.c - put a kernel and all that PVH hands over into guest RAM */

#include "boot/boot.h"
#include "boot/layout.h"
#include "boot/load.h"
#include "boot/mptable.h"
#include "boot/place.h"
#include "boot/plan.h"
#include "bus/platform.h"
#include "util/error.h"

#include <errno.h>
#include <inttypes.h>
#include <pvh/elfnote.h>
#include <pvh/start_info.h>
#include <string.h>

#define CMDLINE_MAX (LAYOUT_CMDLINE_SIZE - 1)

_Static_assert(LAYOUT_START_INFO + sizeof(struct hvm_start_info) <= LAYOUT_MODLIST, "start info");
_Static_assert(
	LAYOUT_MODLIST + PLACE_MAX_MODULES * sizeof(struct hvm_modlist_entry) <= LAYOUT_MEMMAP,
	"module list");
_Static_assert(LAYOUT_MEMMAP + sizeof(((struct memmap *)0)->entry) <= LAYOUT_GDT, "memory map");
_Static_assert(LAYOUT_GDT + sizeof(((struct handover *)0)->gdt) <= LAYOUT_STACK - 4096, "GDT");
_Static_assert(LAYOUT_STACK <= LAYOUT_CMDLINE, "stack");
_Static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE <= LAYOUT_LOW_RAM_END, "command line");

static int check_cmdline(const struct boot_spec *spec, struct diag *diag)
{
	size_t size = strlen(spec->cmdline);

	if (size > BOOT_LINUX_CMDLINE_MAX && (spec->kernel || image_is_linux(spec->image)))
		return diag_fail(diag, E2BIG,
			"the kernel command line has %zu bytes and Linux takes %u: shorten it",
			size, BOOT_LINUX_CMDLINE_MAX);
	if (size > CMDLINE_MAX)
		return diag_fail(diag, E2BIG,
			"the kernel command line has %zu bytes and there is room for %u: shorten it",
			size, CMDLINE_MAX);
	return 0;
}

static int load_kernel(struct guest_mem *mem, const struct boot_spec *spec,
	struct handover *handover, struct diag *diag)
{
	const struct elf_image *elf = &spec->image->elf;
	int ret;

	handover->entry = elf->pvh_entry + (uint32_t)handover->load_offset;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		ret = load_segment(mem, spec->image, segment, spec->map,
			place_segment_gpa(segment, handover->load_offset));
		if (ret < 0)
			return diag_fail(diag, -ret,
				"cannot read the kernel's %" PRIu64 " bytes at offset %" PRIu64
				": %s",
				segment->file_size, segment->offset, error_text(-ret));
	}
	return 0;
}

static int load_module(const struct guest_mem *mem, const struct hvm_modlist_entry *module,
	const char *name, int fd, struct diag *diag)
{
	int ret = guest_mem_read_file(mem, module->paddr, fd, 0, module->size);

	if (ret == -ENODATA)
		return diag_fail(diag, ENODATA,
			"the %s became shorter than its %" PRIu64 " bytes while it was read", name,
			module->size);
	if (ret < 0)
		return diag_fail(diag, -ret, "cannot read the %s: %s", name, error_text(-ret));
	return 0;
}

/* In the order in which they were placed. */
static int load_modules(const struct guest_mem *mem, const struct boot_spec *spec,
	const struct place_taken *taken, struct diag *diag)
{
	const struct hvm_modlist_entry *module = taken->module;
	int ret = 0;

	if (spec->kernel)
		ret = load_module(mem, module++, "kernel", spec->kernel->fd, diag);
	if (!ret && spec->initrd_fd >= 0)
		ret = load_module(mem, module, "initrd", spec->initrd_fd, diag);
	return ret;
}

/* boot_load() has seen that the first MiB is RAM. */
static void put(const struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t size)
{
	int ret = guest_mem_write(mem, gpa, data, size);

	BUG_ON(ret < 0);
}

/* Linux's initrd is module 0, or the one behind pvh-shim's kernel; nobody looks at a module's own
 * command line.  Without modules the list's address is 0 too: FreeBSD takes any other for a module
 * that it must find.
 */
static void write_start_info(
	const struct guest_mem *mem, const struct boot_spec *spec, const struct handover *handover)
{
	const struct memmap *map = &handover->memmap;
	struct hvm_start_info info = {
		.magic = PVH_START_MAGIC,
		.version = PVH_START_VERSION,
		.cmdline_paddr = LAYOUT_CMDLINE,
		.rsdp_paddr = handover->acpi.rsdp,
		.memmap_paddr = LAYOUT_MEMMAP,
		.memmap_entries = map->n_entries,
	};
	const struct place_taken *taken = &handover->taken;

	if (taken->n_modules) {
		info.nr_modules = taken->n_modules;
		info.modlist_paddr = LAYOUT_MODLIST;
		put(mem, LAYOUT_MODLIST, taken->module,
			taken->n_modules * sizeof(taken->module[0]));
	}
	put(mem, LAYOUT_MEMMAP, map->entry, map->n_entries * sizeof(map->entry[0]));
	put(mem, LAYOUT_CMDLINE, spec->cmdline, strlen(spec->cmdline) + 1);
	put(mem, LAYOUT_START_INFO, &info, sizeof(info));
}

/* Linux on hardware-reduced ACPI prefers EFI's reset, and without EFI it falls back to real mode
 * and the reset vector.  What it meets there asks for the reset that it wanted.  A kernel that lies
 * there itself has to do without.
 */
static void write_reset_vector(const struct guest_mem *mem, const struct place_taken *taken)
{
	static const uint8_t code[] = {
		0xb0, PLATFORM_PM_RESET_VALUE,                          /* mov $value, %al */
		0xba, PLATFORM_PM_RESET & 0xff, PLATFORM_PM_RESET >> 8, /* mov $port, %dx */
		0xee,                                                   /* out %al, %dx */
		0xf4,                                                   /* hlt */
		0xeb, 0xfd,                                             /* jmp to the hlt */
	};

	if (!place_is_taken(taken, LAYOUT_RESET_VECTOR, sizeof(code)))
		put(mem, LAYOUT_RESET_VECTOR, code, sizeof(code));
}

bool boot_is_linux(const struct boot_spec *spec)
{
	const struct elf_image *elf = &spec->image->elf;

	if (spec->kernel || spec->image->kind.container == IMAGE_BZIMAGE)
		return true;
	for (size_t i = 0; i < elf->n_notes; i++)
		if (elf->note[i].type == PVH_ELFNOTE_GUEST_OS)
			return !strncmp((const char *)elf->note[i].desc, "linux", sizeof("linux"));
	return false;
}

/* One behind the other: what lies in the first MiB beside them is left to the guest. */
static int write_tables(const struct guest_mem *mem, const struct boot_spec *spec,
	struct handover *handover, gpa_t *end)
{
	const struct acpi_config acpi = {
		.n_cpus = spec->n_cpus,
		.n_virtio_slots = spec->n_virtio_slots,
		.has_pci = spec->has_pci,
	};
	int ret = acpi_build(mem, &acpi, &handover->acpi);
	gpa_t at = ALIGN_UP(handover->acpi.end, 16);

	*end = handover->acpi.end;
	/* Linux reads the MADT; of an MP table it would only say that it found one, which costs a
	 * boot that is not quiet a line.
	 */
	if (ret || boot_is_linux(spec))
		return ret;
	ret = mptable_build(mem, at, LAYOUT_ACPI + LAYOUT_ACPI_SIZE - at, spec->n_cpus);
	*end = at + (gpa_t)ret;
	return ret < 0 ? ret : 0;
}

/* The ABI leaves the table and the stack to the guest.  Some guests use both before they have any
 * (KTF, Nanos), as other monitors happen to have them.  Present, 32 bits, all of 4 GiB, accessed;
 * the TSS is busy, as the processor's task register says.
 */
static void write_gdt(const struct guest_mem *mem, struct handover *handover)
{
	static const uint64_t gdt[BOOT_GDT_SIZE] = {
		0, 0x00cf9b000000ffff, /* execute, read */
		0x00cf93000000ffff,    /* read, write */
		0x00008b0000000067,    /* TSS at 0, 104 bytes */
	};

	memcpy(handover->gdt, gdt, sizeof(gdt));
	put(mem, LAYOUT_GDT, gdt, sizeof(gdt));
}

int boot_load(struct guest_mem *mem, const struct boot_spec *spec, struct handover *handover,
	struct diag *diag)
{
	gpa_t tables_end;
	int ret;

	*handover = (struct handover){
		.start_info = LAYOUT_START_INFO,
		.stack = LAYOUT_STACK,
		.gdt_at = LAYOUT_GDT,
	};
	if (!guest_mem_at(mem, 0, LAYOUT_HIGH_RAM))
		return diag_fail(diag, ENOSPC,
			"memory below 1 MiB cannot hold what PVH hands over: give the guest 32M or more");
	ret = image_require_pvh_entry(spec->image, diag);
	if (ret < 0)
		return ret;
	ret = check_cmdline(spec, diag);
	if (ret < 0)
		return ret;
	ret = write_tables(mem, spec, handover, &tables_end);
	if (ret < 0)
		return diag_fail(diag, -ret,
			"the tables for %" PRIu32 " CPUs do not fit: give the guest fewer",
			spec->n_cpus);
	ret = plan_boot(handover, spec, guest_mem_size(mem), tables_end, diag);
	if (ret < 0)
		return ret;
	ret = load_kernel(mem, spec, handover, diag);
	if (ret < 0)
		return ret;
	ret = load_modules(mem, spec, &handover->taken, diag);
	if (ret < 0)
		return ret;
	write_reset_vector(mem, &handover->taken);
	write_gdt(mem, handover);
	write_start_info(mem, spec, handover);
	return 0;
}
