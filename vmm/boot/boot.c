// SPDX-License-Identifier: MIT
/* boot.c - put a kernel and all that PVH hands over into guest RAM */

#include "boot/boot.h"
#include "boot/layout.h"
#include "boot/load.h"
#include "boot/place.h"
#include "bus/platform.h"

#include <errno.h>
#include <inttypes.h>
#include <pvh/start_info.h>
#include <string.h>

/* Linux: COMMAND_LINE_SIZE - 1, on x86. */
#define LINUX_CMDLINE_MAX 2047u
#define CMDLINE_MAX       (LAYOUT_CMDLINE_SIZE - 1)

_Static_assert(LAYOUT_START_INFO + sizeof(struct hvm_start_info) <= LAYOUT_MODLIST, "start info");
_Static_assert(LAYOUT_MODLIST + sizeof(struct hvm_modlist_entry) <= LAYOUT_MEMMAP, "module list");
_Static_assert(LAYOUT_MEMMAP + sizeof(((struct memmap *)0)->entry) <= LAYOUT_CMDLINE, "memory map");
_Static_assert(LAYOUT_CMDLINE + LAYOUT_CMDLINE_SIZE <= LAYOUT_LOW_RAM_END, "command line");

static int check_cmdline(const struct boot_params *params, struct diag *diag)
{
	size_t size = strlen(params->cmdline);

	if (size > LINUX_CMDLINE_MAX && image_is_linux(params->image))
		return diag_fail(diag, E2BIG,
			"the kernel command line has %zu bytes and Linux takes %u: shorten it",
			size, LINUX_CMDLINE_MAX);
	if (size > CMDLINE_MAX)
		return diag_fail(diag, E2BIG,
			"the kernel command line has %zu bytes and there is room for %u: shorten it",
			size, CMDLINE_MAX);
	return 0;
}

static int load_kernel(const struct guest_mem *mem, const struct boot_params *params,
	struct handover *handover, struct diag *diag)
{
	const struct elf_image *elf = &params->image->elf;
	int ret;

	ret = place_kernel(&handover->memmap, elf, &handover->load_offset, diag);
	if (ret < 0)
		return ret;
	handover->entry = elf->pvh_entry + (uint32_t)handover->load_offset;
	for (size_t i = 0; i < elf->n_segments; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		ret = load_segment(mem, params->image, segment,
			place_segment_gpa(segment, handover->load_offset));
		if (ret < 0)
			return diag_fail(diag, -ret,
				"cannot read the kernel's %" PRIu64 " bytes at offset %" PRIu64
				": %s",
				segment->file_size, segment->offset, strerror(-ret));
	}
	return 0;
}

static int load_initrd(const struct guest_mem *mem, const struct boot_params *params,
	struct handover *handover, struct diag *diag)
{
	int ret;

	if (params->initrd_fd < 0)
		return 0;
	if (!params->initrd_size)
		return diag_fail(diag, EINVAL,
			"the initrd is empty: give a file with contents, or no initrd");
	ret = place_initrd(&handover->memmap, &params->image->elf, handover->load_offset,
		params->initrd_size, &handover->initrd, diag);
	if (ret < 0)
		return ret;
	handover->initrd_size = params->initrd_size;
	ret = guest_mem_read_file(mem, handover->initrd, params->initrd_fd, 0, params->initrd_size);
	if (ret == -ENODATA)
		return diag_fail(diag, ENODATA,
			"the initrd became shorter than its %" PRIu64 " bytes while it was read",
			params->initrd_size);
	if (ret < 0)
		return diag_fail(diag, -ret, "cannot read the initrd: %s", strerror(-ret));
	return 0;
}

/* boot_load() has seen that the first MiB is RAM. */
static void put(const struct guest_mem *mem, gpa_t gpa, const void *data, uint64_t size)
{
	int ret = guest_mem_write(mem, gpa, data, size);

	BUG_ON(ret < 0);
}

/* Module 0 is Linux's initrd; its own command line is nobody's business there.  Without modules the
 * list's address is 0 too: FreeBSD takes any other for a module that it must find.
 */
static void write_start_info(const struct guest_mem *mem, const struct boot_params *params,
	const struct handover *handover)
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
	struct hvm_modlist_entry module = {
		.paddr = handover->initrd,
		.size = handover->initrd_size,
	};

	if (handover->initrd) {
		info.nr_modules = 1;
		info.modlist_paddr = LAYOUT_MODLIST;
		put(mem, LAYOUT_MODLIST, &module, sizeof(module));
	}
	put(mem, LAYOUT_MEMMAP, map->entry, map->n_entries * sizeof(map->entry[0]));
	put(mem, LAYOUT_CMDLINE, params->cmdline, strlen(params->cmdline) + 1);
	put(mem, LAYOUT_START_INFO, &info, sizeof(info));
}

/* Linux on hardware-reduced ACPI prefers EFI's reset, and without EFI it falls back to real mode
 * and the reset vector.  What it meets there asks for the reset that it wanted.
 */
static void write_reset_vector(const struct guest_mem *mem)
{
	static const uint8_t code[] = {
		0xb0, PLATFORM_PM_RESET_VALUE,                          /* mov $value, %al */
		0xba, PLATFORM_PM_RESET & 0xff, PLATFORM_PM_RESET >> 8, /* mov $port, %dx */
		0xee,                                                   /* out %al, %dx */
		0xf4,                                                   /* hlt */
		0xeb, 0xfd,                                             /* jmp to the hlt */
	};

	put(mem, LAYOUT_RESET_VECTOR, code, sizeof(code));
}

int boot_load(const struct guest_mem *mem, const struct boot_params *params,
	struct handover *handover, struct diag *diag)
{
	const struct acpi_config acpi = {
		.n_cpus = params->n_cpus,
		.n_virtio_slots = params->n_virtio_slots,
	};
	int ret;

	*handover = (struct handover){ .start_info = LAYOUT_START_INFO };
	if (!guest_mem_at(mem, 0, LAYOUT_HIGH_RAM))
		return diag_fail(diag, ENOSPC,
			"memory below 1 MiB cannot hold what PVH hands over: give the guest 32M or more");
	ret = elf_require_pvh_entry(&params->image->elf, diag);
	if (ret < 0)
		return ret;
	ret = check_cmdline(params, diag);
	if (ret < 0)
		return ret;
	memmap_build(&handover->memmap, mem);
	ret = load_kernel(mem, params, handover, diag);
	if (ret < 0)
		return ret;
	ret = load_initrd(mem, params, handover, diag);
	if (ret < 0)
		return ret;
	ret = acpi_build(mem, &acpi, &handover->acpi);
	if (ret < 0)
		return diag_fail(diag, -ret,
			"the ACPI tables for %" PRIu32 " CPUs do not fit: give the guest fewer",
			params->n_cpus);
	write_reset_vector(mem);
	write_start_info(mem, params, handover);
	return 0;
}
