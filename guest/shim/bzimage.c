// SPDX-License-Identifier: GPL-2.0 OR MIT
/* bzimage.c - a bzImage for the 64-bit boot protocol
 *
 * Source: Linux Documentation/arch/x86/boot.rst.
 */

#include "shim.h"

#define HEADER     0x1f1u /* struct setup_header, in the file and in the zero page */
#define HEADER_MAX (__builtin_offsetof(struct boot_params, edd_mbr_sig_buffer) - HEADER)
#define SECTOR     512u
#define BOOT_FLAG  0xaa55
#define MAGIC      0x53726448u /* "HdrS" */
#define VERSION_64 0x20cu      /* brought xloadflags */
#define ENTRY_64   0x200u      /* of the 64-bit entry, behind the start of the kernel proper */
#define ANYWHERE   (~UINT64_C(0))

/* Its length: the second byte of the jump over it says where the header ends. */
static uint64_t header_size(const struct shim_kernel *kernel)
{
	uint64_t size = 0x202u + kernel->data[0x201] - HEADER;

	return size < HEADER_MAX ? size : HEADER_MAX;
}

static void read_header(const struct shim_kernel *kernel, struct setup_header *header)
{
	uint64_t size = header_size(kernel);

	__builtin_memset(header, 0, sizeof(*header));
	__builtin_memcpy(
		header, kernel->data + HEADER, size < sizeof(*header) ? size : sizeof(*header));
}

static uint64_t setup_size(const struct setup_header *header)
{
	return ((header->setup_sects ? header->setup_sects : 4u) + 1u) * SECTOR;
}

int shim_bzimage_detect(const struct shim_kernel *kernel)
{
	struct setup_header header;

	if (kernel->file.size < HEADER + HEADER_MAX)
		return 0;
	read_header(kernel, &header);
	return header.boot_flag == BOOT_FLAG && header.header == MAGIC;
}

static int is_power_of_two(uint64_t value)
{
	return value && !(value & (value - 1));
}

/* Below pref_address the kernel moves itself up, over who knows what; so it starts from there. */
const char *shim_bzimage_parse(struct shim_kernel *kernel)
{
	struct setup_header header;
	uint64_t size;

	read_header(kernel, &header);
	if (header.version < VERSION_64 || !(header.xloadflags & XLF_KERNEL_64))
		return "the bzImage has no 64-bit entry: take a 64-bit kernel of Linux 3.8 or newer";
	if (kernel->file.size <= setup_size(&header) + ENTRY_64)
		return "the bzImage is truncated";
	if (!header.init_size ||
		(header.relocatable_kernel && !is_power_of_two(header.kernel_alignment)))
		return "the bzImage's header is damaged";
	size = kernel->file.size - setup_size(&header);
	kernel->want = (struct shim_want){
		.size = size > header.init_size ? size : header.init_size,
		.align = header.relocatable_kernel ? header.kernel_alignment : 1,
		.from = header.pref_address,
		.max = ANYWHERE,
	};
	if (!header.relocatable_kernel)
		kernel->want.max = header.pref_address + (kernel->want.size - 1);
	kernel->entry_offset = ENTRY_64;
	kernel->initrd_max =
		header.xloadflags & XLF_CAN_BE_LOADED_ABOVE_4G ? ANYWHERE : header.initrd_addr_max;
	kernel->cmdline_max = header.cmdline_size;
	return 0;
}

/* What pvh_boot_params() wrote into the header is the hand-over's part of it; the rest is the
 * kernel's.
 */
const char *shim_bzimage_load(
	const struct shim_kernel *kernel, uint64_t dest, struct boot_params *params)
{
	const struct setup_header ours = params->hdr;
	struct setup_header header;
	uint64_t setup;
	void *to = pvh_phys(dest, kernel->want.size);

	if (!to)
		return "the place for the kernel cannot be reached";
	read_header(kernel, &header);
	setup = setup_size(&header);
	__builtin_memcpy((uint8_t *)params + HEADER, kernel->data + HEADER, header_size(kernel));
	params->hdr.type_of_loader = ours.type_of_loader;
	params->hdr.ramdisk_image = ours.ramdisk_image;
	params->hdr.ramdisk_size = ours.ramdisk_size;
	params->hdr.cmd_line_ptr = ours.cmd_line_ptr;
	params->hdr.setup_data = 0;
	shim_copy(to, kernel->data + setup, kernel->file.size - setup);
	return 0;
}
