// SPDX-License-Identifier: MIT
/* fuzz_shim.c - pvh-shim but for its jump: hostile kernels and initrds, packed or handed over
 *
 * The input is a struct scene, which says what lies where, and then bytes for a piece of guest
 * memory.  The hand-over keeps what pvh.h promises of a struct pvh_info; nothing else is sane.
 */

#include "shim/shim.h"

#include "util/bits.h"

#include <elf.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE  4096u
#define SPAN  0x180000u   /* guest memory that can be reached, from 0 */
#define FIRST 0x100000u   /* nothing is put below */
#define HIGH  0xffff0000u /* from here on, addresses mean some above 4 GiB */

#define BZIMAGE_HEADER 0x1f1u
#define BZIMAGE_ENTRY  0x200u
#define HIGHEST        UINT64_C(0xffffffff)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct scene_range {
	uint32_t addr, size;
};

struct scene {
	uint8_t image_page, image_pages; /* from FIRST */
	uint8_t n_modules, n_regions;
	uint32_t content_at;
	struct scene_range module[3], pack[3], cmdline;
	struct scene_region {
		uint32_t gap, size, type;
	} region[4];
};

static uint8_t memory[SPAN] __attribute__((aligned(PAGE)));
static uint8_t before[SPAN];

void *pvh_phys(uint64_t paddr, uint64_t size)
{
	return range_within(paddr, size, 0, SPAN) ? memory + paddr : NULL;
}

/* ---- from the input to a hand-over ---- */

static void fill(uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i += PAGE)
		memset(before + i, (int)(i / PAGE % 251 + 1), PAGE);
	memcpy(memory + from, before + from, to - from);
}

static void fill_memory(const struct scene *scene, const uint8_t *data, size_t size)
{
	uint32_t at = FIRST + scene->content_at % (SPAN - FIRST);

	if (!memory[0]) {
		fill(0, FIRST);
		BUG_ON(mprotect(memory, FIRST, PROT_READ));
	}
	fill(FIRST, SPAN);
	if (size > SPAN - at)
		size = SPAN - at;
	memcpy(before + at, data, size);
	memcpy(memory + at, data, size);
}

static struct pvh_range make_image(const struct scene *scene)
{
	return (struct pvh_range){ FIRST + scene->image_page % 64 * PAGE,
		(scene->image_pages % 16 + 1) * PAGE };
}

/* Sorted, disjoint, and RAM below 4 GiB only where there is memory. */
static void make_regions(const struct scene *scene, struct pvh_info *info)
{
	uint64_t next = 0;

	for (unsigned int i = 0; i < scene->n_regions % (ARRAY_SIZE(scene->region) + 1); i++) {
		const struct scene_region *from = &scene->region[i];
		struct hvm_memmap_table_entry *to = &info->regions[info->n_regions];

		to->addr = next + from->gap;
		to->size = from->size;
		to->type = from->type % 8;
		if (to->addr < SPAN && to->addr + to->size > SPAN)
			to->size = SPAN - to->addr;
		next = to->addr + to->size;
		if (to->addr >= SPAN && to->addr <= HIGHEST)
			next = HIGHEST + 1;
		else if (to->size && to->type)
			info->n_regions++;
	}
}

/* A module does not lie over the image, and has an address. */
static void make_modules(const struct scene *scene, struct pvh_info *info, struct pvh_range image)
{
	for (unsigned int i = 0; i < scene->n_modules % (ARRAY_SIZE(scene->module) + 1); i++) {
		struct pvh_range range = { scene->module[i].addr, scene->module[i].size };

		if (range.addr >= HIGH)
			range.addr = HIGHEST + 1 + (range.addr - HIGH) * PAGE;
		if (range.addr && !(range.size && range.addr < image.addr + image.size &&
					  image.addr < range.addr + range.size))
			info->modules[info->n_modules++].data = range;
	}
}

/* `pronto pack` has written it; all of it lies in the image. */
static struct pvh_pack_part make_part(struct scene_range from, struct pvh_range image)
{
	uint32_t offset = from.addr % (uint32_t)image.size;
	uint32_t room = (uint32_t)image.size - offset;

	return (struct pvh_pack_part){ offset, from.size < room ? from.size : room };
}

static void make_cmdline(const struct scene *scene, struct pvh_info *info)
{
	struct pvh_range range = { scene->cmdline.addr, scene->cmdline.size };

	if (range.addr && range_within(range.addr, range.size, 0, SPAN) &&
		range.size < PVH_MAX_CMDLINE)
		info->cmdline = range;
}

/* ---- what must have come of it ---- */

static bool overlap(struct pvh_range a, struct pvh_range b)
{
	return a.size && b.size && a.addr < b.addr + b.size && b.addr < a.addr + a.size;
}

static bool was_copied(uint64_t to, uint64_t from, uint64_t size)
{
	return range_within(to, size, 0, SPAN) && range_within(from, size, 0, SPAN) &&
	       !memcmp(memory + to, before + from, size);
}

/* What lies in a place of memory, before, in an object of ours. */
#define FROM_MEMORY(object, at)                                     \
	do {                                                        \
		BUG_ON(!range_within(at, sizeof(object), 0, SPAN)); \
		memcpy(&(object), before + (at), sizeof(object));   \
	} while (0)

/* Of a bzImage; what lies behind the header's end, which its second jump byte tells, reads as 0. */
static struct setup_header read_header(uint64_t file)
{
	struct setup_header header;
	size_t end;

	FROM_MEMORY(header, file + BZIMAGE_HEADER);
	end = 0x202u + before[file + 0x201] - BZIMAGE_HEADER;
	if (end < sizeof(header))
		memset((uint8_t *)&header + end, 0, sizeof(header) - end);
	return header;
}

/* The room of a bzImage, which starts with all of the kernel proper. */
static struct pvh_range check_bzimage(
	const struct shim *shim, struct pvh_range file, uint64_t *initrd_max)
{
	struct setup_header header = read_header(file.addr);
	uint64_t setup, size;
	struct pvh_range place;

	setup = ((header.setup_sects ? header.setup_sects : 4u) + 1u) * 512u;
	BUG_ON(file.size <= setup);
	size = file.size - setup;
	place = (struct pvh_range){ shim->entry - BZIMAGE_ENTRY,
		size > header.init_size ? size : header.init_size };
	BUG_ON(!was_copied(place.addr, file.addr + setup, size));
	BUG_ON(place.addr < header.pref_address);
	BUG_ON(!header.relocatable_kernel && place.addr != header.pref_address);
	BUG_ON(header.relocatable_kernel && place.addr % header.kernel_alignment);
	if (!(header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G))
		*initrd_max = header.initrd_addr_max;
	return place;
}

/* From the lowest to the highest segment.  Of segments that overlap, the last one counts. */
static struct pvh_range check_elf(const struct shim *shim, struct pvh_range file)
{
	Elf64_Phdr phdr[64];
	Elf64_Ehdr ehdr;
	uint64_t low = UINT64_MAX, end = 0;

	FROM_MEMORY(ehdr, file.addr);
	BUG_ON(ehdr.e_phnum > ARRAY_SIZE(phdr) || shim->entry != ehdr.e_entry);
	memcpy(phdr, before + file.addr + ehdr.e_phoff, ehdr.e_phnum * sizeof(phdr[0]));
	for (unsigned int i = ehdr.e_phnum; i-- > 0;) {
		struct pvh_range segment = { phdr[i].p_paddr, phdr[i].p_memsz };

		if (phdr[i].p_type != PT_LOAD || !segment.size)
			continue;
		if (segment.addr >= end || segment.addr + segment.size <= low)
			BUG_ON(!was_copied(
				segment.addr, file.addr + phdr[i].p_offset, phdr[i].p_filesz));
		if (segment.addr < low)
			low = segment.addr;
		if (segment.addr + segment.size > end)
			end = segment.addr + segment.size;
	}
	return (struct pvh_range){ low, end - low };
}

/* Whole, within the kernel's reach, and clear of the kernel. */
static void check_initrd(
	const struct shim *shim, struct pvh_range was, struct pvh_range kernel, uint64_t max)
{
	struct pvh_range is = shim->info.modules[0].data;

	BUG_ON(shim->info.n_modules != !!was.size);
	if (!was.size)
		return;
	BUG_ON(is.size != was.size || overlap(is, kernel) || is.addr + (is.size - 1) > max);
	if (is.addr <= HIGHEST && range_within(is.addr, is.size, 0, SPAN))
		BUG_ON(!was_copied(is.addr, was.addr, is.size));
	else
		BUG_ON(is.addr != was.addr);
}

static void check_cmdline(const struct shim *shim, struct pvh_range packed, struct pvh_range given)
{
	uint64_t blank = packed.size && given.size;

	BUG_ON(shim->info.cmdline.size != packed.size + blank + given.size);
	BUG_ON(shim->info.cmdline.size >= SHIM_CMDLINE_SIZE);
	BUG_ON(memcmp(shim->cmdline, before + packed.addr, packed.size));
	BUG_ON(blank && shim->cmdline[packed.size] != ' ');
	BUG_ON(memcmp(shim->cmdline + packed.size + blank, before + given.addr, given.size));
	BUG_ON(shim->cmdline[shim->info.cmdline.size]);
}

static bool is_ram(const struct pvh_info *info, uint64_t addr)
{
	for (uint32_t i = 0; i < info->n_regions; i++)
		if (range_within(addr, 1, info->regions[i].addr, info->regions[i].size))
			return info->regions[i].type == PVH_MEMMAP_RAM;
	return false;
}

/* Nothing was written to but RAM from FIRST on, outside of the running shim. */
static void check_writes(const struct pvh_info *info, struct pvh_range image)
{
	for (uint32_t page = FIRST; page < SPAN; page += PAGE) {
		if (!memcmp(memory + page, before + page, PAGE))
			continue;
		for (uint32_t i = page; i < page + PAGE; i++)
			BUG_ON(memory[i] != before[i] &&
				(i - image.addr < image.size || !is_ram(info, i)));
	}
}

static struct pvh_range part_at(struct pvh_pack_part part, struct pvh_range image)
{
	return (struct pvh_range){ part.size ? image.addr + part.offset : 0, part.size };
}

static void check_prepared(const struct shim *shim, const struct pvh_info *info,
	const struct pvh_pack *pack, struct pvh_range image)
{
	struct pvh_range file = part_at(pack->kernel, image);
	struct pvh_range initrd = part_at(pack->initrd, image), place;
	uint64_t initrd_max = UINT64_MAX;
	unsigned int next = 0;

	if (!file.size)
		file = info->modules[next++].data;
	if (info->n_modules > next)
		initrd = info->modules[next].data;
	place = memcmp(before + file.addr, ELFMAG, SELFMAG) ? check_bzimage(shim, file, &initrd_max)
	                                                    : check_elf(shim, file);
	BUG_ON(place.addr < FIRST || overlap(place, image));
	BUG_ON(!pvh_memmap_is_ram(info, place));
	check_initrd(shim, initrd, place, initrd_max);
	check_cmdline(shim, part_at(pack->cmdline, image), info->cmdline);
	BUG_ON(shim->params.hdr.cmd_line_ptr != (uint32_t)(uintptr_t)shim->cmdline);
	BUG_ON(shim->params.hdr.setup_data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct pvh_info info;
	static struct shim shim;
	struct pvh_range image;
	struct pvh_pack pack;
	struct scene scene;
	const char *problem;

	if (size < sizeof(scene))
		return 0;
	memcpy(&scene, data, sizeof(scene));
	memset(&info, 0, sizeof(info));
	memset(&shim, 0, sizeof(shim));
	image = make_image(&scene);
	make_regions(&scene, &info);
	if (!pvh_memmap_is_ram(&info, image))
		return 0;
	fill_memory(&scene, data + sizeof(scene), size - sizeof(scene));
	make_modules(&scene, &info, image);
	make_cmdline(&scene, &info);
	pack.kernel = make_part(scene.pack[0], image);
	pack.initrd = make_part(scene.pack[1], image);
	pack.cmdline = make_part(scene.pack[2], image);
	problem = shim_prepare(&shim, &info, &pack, image);
	if (problem)
		BUG_ON(!*problem || problem[strlen(problem) - 1] == '.');
	else
		check_prepared(&shim, &info, &pack, image);
	check_writes(&info, image);
	return 0;
}
