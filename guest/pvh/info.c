// SPDX-License-Identifier: GPL-2.0 OR MIT
/* info.c - from the start info to struct pvh_info
 *
 * Everything found in memory is the hypervisor's word, and may be wrong in any way: it is copied
 * once, and the copy is checked.
 */

#include "pvh.h"

#ifdef CONFIG_PVH

/* Where reach ends, a page ends. */
#define PAGE_SIZE_LEAST 4096u

/* Copy size bytes from paddr.  The fence keeps the compiler from reading them there again.  Returns
 * whether they are within reach; there is nothing at address 0.
 */
static int phys_read(uint64_t paddr, void *to, uint32_t size)
{
	const void *from = paddr ? pvh_phys(paddr, size) : 0;

	if (!from)
		return 0;
	__builtin_memcpy(to, from, size);
	__atomic_signal_fence(__ATOMIC_SEQ_CST);
	return 1;
}

static int start_info_read(struct pvh_info *info, uint32_t paddr, struct hvm_start_info *start)
{
	uint8_t *v1 = (uint8_t *)start + PVH_START_INFO_V0_SIZE;

	__builtin_memset(start, 0, sizeof(*start));
	if (!phys_read(paddr, start, PVH_START_INFO_V0_SIZE))
		return -PVH_E_START_INFO;
	if (start->magic != PVH_START_MAGIC)
		return -PVH_E_MAGIC;
	/* Later versions only add. */
	if (start->version >= 1 && !phys_read((uint64_t)paddr + PVH_START_INFO_V0_SIZE, v1,
					   sizeof(*start) - PVH_START_INFO_V0_SIZE))
		return -PVH_E_START_INFO;
	info->version = start->version;
	info->flags = start->flags;
	info->rsdp = start->rsdp_paddr;
	return 0;
}

/* The table of the start info. */
static int map_from_table(struct pvh_info *info, const struct hvm_start_info *start)
{
	uint64_t size = start->memmap_entries * sizeof(struct hvm_memmap_table_entry);
	const struct hvm_memmap_table_entry *table;

	if (start->memmap_entries > PVH_MAX_MAP_ENTRIES)
		return -PVH_E_MAP_COUNT;
	table = start->memmap_paddr ? pvh_phys(start->memmap_paddr, size) : 0;
	if (!table)
		return -PVH_E_MAP_ADDRESS;
	info->n_regions = PVH_MAX_REGIONS;
	info->n_lost = pvh_memmap_sanitize(
		table, start->memmap_entries, info->regions, &info->n_regions);
	return 0;
}

/* Xen's answer is taken to the upper half of the regions, and put in order in the lower one.  An
 * answer that fills its half may have been cut: as entries come in any order, what is missing might
 * be what says that some of the RAM is none.
 */
static int map_from_xen(struct pvh_info *info)
{
	const uint32_t half = PVH_MAX_REGIONS / 2;
	uint32_t n = half;
	int ret;

	ret = pvh_xen_memmap(info->regions + half, &n);
	if (ret)
		return ret;
	if (n >= half)
		return -PVH_E_MAP_COUNT;
	info->n_regions = half;
	info->n_lost = pvh_memmap_sanitize(
		info->regions + half, n, info->regions, &info->n_regions);
	return 0;
}

static int map_read(struct pvh_info *info, const struct hvm_start_info *start)
{
	if (start->version >= 1 && start->memmap_entries)
		return map_from_table(info, start);
	if (info->guest == PVH_GUEST_XEN)
		return map_from_xen(info);
	return -PVH_E_NO_MAP;
}

static int map_check(const struct pvh_info *info, struct pvh_range image)
{
	uint32_t i;

	for (i = 0; i < info->n_regions; i++)
		if (info->regions[i].type == PVH_MEMMAP_RAM)
			break;
	if (i == info->n_regions)
		return -PVH_E_MAP_NO_RAM;
	if (!pvh_memmap_is_ram(info, image))
		return -PVH_E_MAP_IMAGE;
	return 0;
}

/* The end is looked for page by page, as nobody says beforehand how much is within reach. */
static int cmdline_read(struct pvh_range *cmdline, uint64_t paddr)
{
	uint64_t size = 0;

	if (!paddr)
		return 0;
	while (size < PVH_MAX_CMDLINE) {
		uint64_t left = PAGE_SIZE_LEAST - ((paddr + size) & (PAGE_SIZE_LEAST - 1));
		const char *text = pvh_phys(paddr + size, left);

		if (!text)
			break;
		for (; left && size < PVH_MAX_CMDLINE; left--, size++, text++) {
			if (!*text) {
				cmdline->addr = paddr;
				cmdline->size = size;
				return 0;
			}
		}
	}
	return -PVH_E_CMDLINE;
}

static int module_read(struct pvh_module *module, uint64_t list, uint32_t i, struct pvh_range image)
{
	struct hvm_modlist_entry entry;

	if (!phys_read(list + i * sizeof(entry), &entry, sizeof(entry)))
		return -PVH_E_MODULE_LIST;
	if (entry.paddr + entry.size < entry.paddr || (entry.size && !entry.paddr))
		return -PVH_E_MODULE;
	if (entry.size && entry.paddr < image.addr + image.size &&
		image.addr < entry.paddr + entry.size)
		return -PVH_E_MODULE;
	module->data.addr = entry.paddr;
	module->data.size = entry.size;
	return cmdline_read(&module->cmdline, entry.cmdline_paddr);
}

static int modules_read(
	struct pvh_info *info, const struct hvm_start_info *start, struct pvh_range image)
{
	uint64_t list = start->modlist_paddr;
	uint64_t size = start->nr_modules * sizeof(struct hvm_modlist_entry);
	int ret;

	if (!start->nr_modules)
		return 0;
	if (start->nr_modules > PVH_MAX_MODULES)
		return -PVH_E_MODULE_COUNT;
	if (!list || !pvh_phys(list, size))
		return -PVH_E_MODULE_LIST;
	for (; info->n_modules < start->nr_modules; info->n_modules++) {
		ret = module_read(&info->modules[info->n_modules], list, info->n_modules, image);
		if (ret)
			return ret;
	}
	return 0;
}

int pvh_info_read(struct pvh_info *info, uint32_t start_info, struct pvh_range image)
{
	struct hvm_start_info start;
	int ret;

	__builtin_memset(info, 0, sizeof(*info));
	ret = start_info_read(info, start_info, &start);
	if (ret)
		return ret;
	info->guest = pvh_guest_detect(&info->xen_base);
	if (info->guest == PVH_GUEST_XEN) {
		ret = pvh_xen_init(info);
		if (ret)
			return ret;
	}
	ret = map_read(info, &start);
	if (!ret)
		ret = map_check(info, image);
	if (!ret)
		ret = cmdline_read(&info->cmdline, start.cmdline_paddr);
	if (!ret)
		ret = modules_read(info, &start, image);
	return ret;
}

#define TEXT_SIZE 64

/* No pointers in here: they would have to be relocated in a program that may lie anywhere. */
static const char error_texts[][TEXT_SIZE] = {
	[0] = "no error",
	[PVH_E_MAGIC] = "the start info has the wrong magic number",
	[PVH_E_START_INFO] = "the start info is out of reach",
	[PVH_E_NO_MAP] = "there is no memory map, and no Xen to ask for one",
	[PVH_E_NO_XEN] = "this is Xen, which this program was built without",
	[PVH_E_XEN] = "Xen refused a hypercall",
	[PVH_E_MAP_ADDRESS] = "the memory map has no address, or is out of reach",
	[PVH_E_MAP_COUNT] = "the memory map has too many entries",
	[PVH_E_MAP_NO_RAM] = "there is no RAM in the memory map",
	[PVH_E_MAP_IMAGE] = "the program does not lie in RAM of the memory map",
	[PVH_E_MODULE_LIST] = "the module list has no address, or is out of reach",
	[PVH_E_MODULE_COUNT] = "there are too many modules",
	[PVH_E_MODULE] = "a module has no address, has no end, or lies over the program",
	[PVH_E_CMDLINE] = "a command line is out of reach, or has no end",
};

const char *pvh_error_text(int error)
{
	unsigned int i = error < 0 ? 0u - (unsigned int)error : (unsigned int)error;

	return i < sizeof(error_texts) / TEXT_SIZE ? error_texts[i] : "unknown error";
}

#endif /* CONFIG_PVH */
