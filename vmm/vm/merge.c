// SPDX-License-Identifier: MIT
/* merge.c - let the host merge equal pages of guests (KSM), as far as --merge says */

#include "vm/merge.h"

#include "boot/place.h"
#include "util/error.h"
#include "util/log.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#define KSM_RUN "/sys/kernel/mm/ksm/run"

static int merge_all(const struct guest_mem *mem)
{
	int ret = 0;

	for (size_t i = 0; i < mem->n_regions && !ret; i++)
		ret = guest_mem_merge(mem, mem->region[i].gpa, mem->region[i].size);
	return ret;
}

/* What the kernel's file says will not be written by it: code and constants.  A Linux that patches
 * its code as it boots makes the pages its own, and the same in every guest.
 */
static int merge_kernel(const struct vm *vm, const struct elf_image *elf)
{
	int ret = 0;

	for (size_t i = 0; i < elf->n_segments && !ret; i++) {
		const struct elf_segment *segment = &elf->segment[i];

		if (!(segment->flags & PF_W))
			ret = guest_mem_merge(&vm->mem,
				place_segment_gpa(segment, vm->handover.load_offset),
				segment->mem_size);
	}
	return ret;
}

static bool is_left_to_shim(const struct vm *vm)
{
	return vm->config->merge == MERGE_KERNEL && vm->spec->kernel;
}

int vm_merge(struct vm *vm, struct diag *diag)
{
	int ret;

	if (vm->config->merge == MERGE_NONE || is_left_to_shim(vm))
		return 0;
	if (vm->config->merge == MERGE_ALL)
		ret = merge_all(&vm->mem);
	else
		ret = merge_kernel(vm, &vm->spec->image->elf);
	if (!ret)
		return 0;
	return diag_fail(diag, ENOTSUP,
		"--merge: this host's kernel cannot merge pages (CONFIG_KSM): %s; leave "
		"the option out",
		error_text(-ret));
}

/* The directory is there in every kernel that has KSM, however it is set. */
static void warn_if_idle(void)
{
	int fd = open(KSM_RUN, O_RDONLY | O_CLOEXEC);
	char run = '?';

	if (fd < 0)
		return;
	if (read(fd, &run, 1) == 1 && run != '1')
		log_warn("--merge: the host merges no pages now; echo 1 >" KSM_RUN " has it do so");
	close(fd);
}

void vm_merge_warn(const struct vm *vm)
{
	if (is_left_to_shim(vm))
		log_warn("--merge kernel: nothing will be merged, as through pvh-shim the kernel "
			 "chooses its own place; --merge all merges all memory");
	else if (vm->config->merge != MERGE_NONE && vm->mem.is_shared)
		log_warn("--merge: nothing will be merged, as the guest's memory is shared with a "
			 "program that serves one of its devices");
	else if (vm->config->merge != MERGE_NONE)
		warn_if_idle();
}
