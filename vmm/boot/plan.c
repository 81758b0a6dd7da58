// SPDX-License-Identifier: MIT
/* plan.c - where everything that is loaded goes */

#include "boot/plan.h"
#include "bus/platform.h"

#include <errno.h>
#include <inttypes.h>

/* The guest's message would come too late: say here what can be known here. */
static int check_room(const struct memmap *map, const struct image *kernel, struct diag *diag)
{
	uint64_t size = kernel->kind.room_end - kernel->kind.room_start;

	if (memmap_is_ram(map, kernel->kind.room_start, size))
		return 0;
	return diag_fail(diag, ENOSPC,
		"the kernel unpacks itself to %" PRIu64 "M from %#" PRIx64
		" on, and not all of that is RAM",
		size / MIB(1), kernel->kind.room_start);
}

/* One more behind those that are in `taken`. */
static int add_module(const struct memmap *map, struct place_taken *taken, const char *name,
	uint64_t size, bool anywhere, struct diag *diag)
{
	struct hvm_modlist_entry *entry = &taken->module[taken->n_modules];
	int ret = place_module(map, taken, name, size, anywhere, &entry->paddr, diag);

	if (ret < 0)
		return ret;
	entry->size = size;
	taken->n_modules++;
	return 0;
}

/* What pvh-shim is to boot, and the initrd.  Linux entered by PVH takes a 32-bit address for its
 * initrd; entered by pvh-shim it takes any.
 */
static int place_modules(struct handover *handover, const struct boot_spec *spec, struct diag *diag)
{
	const struct memmap *map = &handover->memmap;
	struct place_taken *taken = &handover->taken;
	const struct image *kernel = spec->kernel;
	int ret = 0;

	if (kernel) {
		taken->room_start = kernel->kind.room_start;
		taken->room_end = kernel->kind.room_end;
		ret = check_room(map, kernel, diag);
		if (!ret)
			ret = add_module(map, taken, "kernel", kernel->size, false, diag);
	}
	if (!ret && spec->initrd_fd >= 0)
		ret = add_module(map, taken, "initrd", spec->initrd_size, kernel, diag);
	return ret;
}

static int place_all(struct handover *handover, const struct boot_spec *spec, uint64_t memory,
	gpa_t tables_end, struct diag *diag)
{
	const struct elf_image *elf = &spec->image->elf;
	int ret;

	memmap_build(&handover->memmap, memory, tables_end);
	/* Linux looks here before it reads the DSDT, and uses no ECAM that it does not find. */
	if (spec->has_pci)
		memmap_reserve(&handover->memmap, PLATFORM_ECAM_BASE, PLATFORM_ECAM_SIZE);
	ret = place_kernel(&handover->memmap, elf, &handover->load_offset, diag);
	if (ret < 0)
		return ret;
	handover->taken = (struct place_taken){ .elf = elf, .offset = handover->load_offset };
	return place_modules(handover, spec, diag);
}

/* The least size above `memory`, in whole MiB, in which all has a place; 0: there is none.  It is
 * found by halving, which takes for granted that more is never worse; what is found was tried.
 */
static uint64_t least_memory(const struct boot_spec *spec, uint64_t memory, gpa_t tables_end)
{
	uint64_t too_small = memory / MIB(1), enough = 2 * (too_small + 1);
	struct handover scratch;
	struct diag why;

	while (place_all(&scratch, spec, enough * MIB(1), tables_end, &why)) {
		too_small = enough;
		enough *= 2;
		if (too_small * MIB(1) > GUEST_MEM_MAX)
			return 0;
	}
	while (enough - too_small > 1) {
		uint64_t middle = (too_small + enough) / 2;

		if (place_all(&scratch, spec, middle * MIB(1), tables_end, &why))
			too_small = middle;
		else
			enough = middle;
	}
	return enough * MIB(1) > GUEST_MEM_MAX ? 0 : enough * MIB(1);
}

int plan_boot(struct handover *handover, const struct boot_spec *spec, uint64_t memory,
	gpa_t tables_end, struct diag *diag)
{
	uint64_t least;
	struct diag why;
	int ret;

	if (spec->initrd_fd >= 0 && !spec->initrd_size)
		return diag_fail(diag, EINVAL,
			"the initrd is empty: give a file with contents, or no initrd");
	ret = place_all(handover, spec, memory, tables_end, &why);
	if (!ret)
		return 0;
	if (ret != -ENOSPC)
		return diag_fail(diag, -ret, "%s", why.text);
	least = least_memory(spec, memory, tables_end);
	if (!least)
		return diag_fail(diag, ENOSPC, "%s: no size of memory would do", why.text);
	return diag_fail(diag, ENOSPC, "%s: give the guest %" PRIu64 "M of memory or more",
		why.text, least / MIB(1));
}
