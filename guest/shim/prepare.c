// SPDX-License-Identifier: GPL-2.0 OR MIT
/* prepare.c - decide what is booted, make room for it, load it */

#include "shim.h"

#define PAGE     4096u
#define ANYWHERE (~UINT64_C(0))

static struct pvh_range packed(struct pvh_pack_part part, struct pvh_range image)
{
	return (struct pvh_range){ part.size ? image.addr + part.offset : 0, part.size };
}

/* The modules that are left for the initrd once the kernel is chosen begin with *next. */
static const char *choose_kernel(struct shim_kernel *kernel, const struct pvh_info *info,
	const struct pvh_pack *pack, struct pvh_range image, uint32_t *next)
{
	*next = 0;
	kernel->file = packed(pack->kernel, image);
	if (!kernel->file.size) {
		if (!info->n_modules)
			return "there is no kernel: give one as the first module (initrd), or pack one";
		kernel->file = info->modules[(*next)++].data;
	}
	kernel->data = pvh_phys(kernel->file.addr, kernel->file.size);
	if (!kernel->data)
		return "the kernel lies out of reach, above 4 GiB";
	if (shim_bzimage_detect(kernel))
		return shim_bzimage_parse(kernel);
	if (shim_elf_detect(kernel))
		return shim_elf_parse(kernel);
	return "the first module is no kernel: neither a bzImage nor an ELF";
}

/* Add size bytes at addr; what is longer than the kernel takes is refused, not cut. */
static const char *append_cmdline(
	struct shim *shim, struct pvh_range text, uint64_t *length, uint64_t max)
{
	uint64_t blank = *length && text.size;
	const char *from = pvh_phys(text.addr, text.size);

	if (!text.size)
		return 0;
	if (!from)
		return "the command line lies out of reach, above 4 GiB";
	if (max > SHIM_CMDLINE_SIZE - 1)
		max = SHIM_CMDLINE_SIZE - 1;
	if (text.size > max || *length + blank > max - text.size)
		return "the command line is longer than the kernel takes: shorten it";
	if (blank)
		shim->cmdline[(*length)++] = ' ';
	__builtin_memcpy(shim->cmdline + *length, from, text.size);
	*length += text.size;
	return 0;
}

static const char *make_cmdline(struct shim *shim, const struct pvh_info *info,
	const struct pvh_pack *pack, struct pvh_range image, uint64_t max)
{
	uint64_t length = 0;
	const char *problem = append_cmdline(shim, packed(pack->cmdline, image), &length, max);

	if (!problem)
		problem = append_cmdline(shim, info->cmdline, &length, max);
	shim->cmdline[length] = '\0';
	shim->info.cmdline = (struct pvh_range){ (uintptr_t)shim->cmdline, length };
	return problem;
}

/* Copy what lies in *range to where neither `busy` nor `kept` is, its last byte not above max. */
static const char *move_away(const struct pvh_info *info, struct pvh_range *range,
	const struct pvh_range busy[3], uint64_t max, const char *problem)
{
	struct shim_want want = { range->size, PAGE, 0, max };
	uint64_t to = shim_find(info, busy, 3, &want);
	void *from = pvh_phys(range->addr, range->size);

	if (!to || !from)
		return problem;
	shim_copy(pvh_phys(to, range->size), from, range->size);
	range->addr = to;
	return 0;
}

/* The kernel goes to where it wants to be, or, if that is taken and it allows it, above; only if
 * all of that fails is the initrd moved for it.  A bzImage may overlap its own file.
 */
static const char *place(const struct pvh_info *info, struct shim_kernel *kernel,
	struct pvh_range *initrd, struct pvh_range image, uint64_t *dest)
{
	struct pvh_range busy[3] = { image, *initrd, { 0, 0 } };
	struct pvh_range target;
	const char *problem = 0;

	*dest = shim_find(info, busy, 2, &kernel->want);
	if (!*dest)
		*dest = shim_find(info, busy, 1, &kernel->want);
	if (!*dest)
		return "there is no free RAM where the kernel must lie: give the guest more memory";
	target = (struct pvh_range){ *dest, kernel->want.size };
	if (initrd->size && (shim_overlap(*initrd, target) ||
				    initrd->addr + (initrd->size - 1) > kernel->initrd_max)) {
		busy[1] = target;
		busy[2] = kernel->file;
		problem = move_away(info, initrd, busy, kernel->initrd_max,
			"there is no free RAM for the initrd beside the kernel: give the guest more memory");
	}
	if (!problem && kernel->is_elf && shim_overlap(kernel->file, target)) {
		busy[1] = target;
		busy[2] = *initrd;
		problem = move_away(info, &kernel->file, busy, ANYWHERE,
			"there is no free RAM to unpack the kernel in: give the guest more memory");
		kernel->data = pvh_phys(kernel->file.addr, kernel->file.size);
	}
	return problem;
}

static void describe(struct shim *shim, struct pvh_range initrd)
{
	shim->info.n_modules = initrd.size ? 1 : 0;
	shim->info.modules[0].data = initrd;
	shim->info.modules[0].cmdline = (struct pvh_range){ 0, 0 };
	pvh_boot_params(&shim->info, &shim->params);
}

const char *shim_prepare(struct shim *shim, const struct pvh_info *info,
	const struct pvh_pack *pack, struct pvh_range image)
{
	struct shim_kernel kernel = { .is_elf = 0 };
	struct pvh_range initrd;
	const char *problem;
	uint64_t dest;
	uint32_t next;

	problem = choose_kernel(&kernel, info, pack, image, &next);
	if (problem)
		return problem;
	initrd = info->n_modules > next ? info->modules[next].data : packed(pack->initrd, image);
	__builtin_memcpy(&shim->info, info, sizeof(*info));
	problem = make_cmdline(shim, info, pack, image, kernel.cmdline_max);
	if (problem)
		return problem;
	problem = place(info, &kernel, &initrd, image, &dest);
	if (problem)
		return problem;
	describe(shim, initrd);
	shim->entry = dest + kernel.entry_offset;
	return kernel.is_elf ? shim_elf_load(&kernel, &shim->params)
	                     : shim_bzimage_load(&kernel, dest, &shim->params);
}
